#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include <pushforward/distribution.hpp>
#include <pushforward/error.hpp>
#include <pushforward/execution.hpp>
#include <pushforward/poly.hpp>
#include <pushforward/reducer.hpp>
#include <pushforward/stop.hpp>
#include <pushforward/training/adam.hpp>
#include <pushforward/training/borrowed.hpp>
#include <pushforward/training/losses.hpp>
#include <pushforward/training/grids.hpp>
#include <pushforward/training/schedule.hpp>

namespace pushforward {

/// Statistics that normalisation layers have when `fit` evaluates and when it ends.
enum class EvaluationStatistics {
  population,  ///< those of all training rows, computed by `calibrate` before each validation and at the end
  running      ///< moving averages over the minibatches
};

/// What happens while a run goes on; one for each epoch.
struct Progress {
  Index epoch = 0;   ///< epochs done
  Index epochs = 0;  ///< at most
  Index step = 0;    ///< steps done
  double train_loss = 0;       ///< mean over the rows of the epoch, each with the parameters of its step
  double validation_loss = 0;  ///< NaN if this epoch had no validation
  double learning_rate = 0;
  double seconds = 0;
  double seconds_left = 0;  ///< if all epochs run
};
/// "epoch 12/200  loss 3.2145  validation 3.3021  rate 0.001  14.2 s, about 220 s left"
std::string to_text(const Progress& progress);

/// How to fit; an aggregate: `fit(flow, data, {.epochs = 200, .batch_size = 256})`. Matrices and weights are views of
/// the caller's; those of temporaries do not compile.
template <Scalar T>
struct FitOptions {
  Index epochs = 200;
  /// Rows of a step. A last batch below half this size joins the one before.
  Index batch_size = 256;
  /// A batch is passed in this many parts of equal size, one after another, whose losses and gradients are added in one
  /// binary tree: the bits depend on the number of shards, not on that of threads, and activations need the memory of
  /// one shard. Normalisation layers see a shard where they would see the batch (but `synchronized_statistics`); the
  /// running statistics take the mean of the shards' updates. A loss over the batch goes in shards as
  /// `objective.columns` and `objective.coupling`.
  Index shards = 1;
  /// Other processes that run the same `fit`; null: none. `shards` is their number times a power of two. Parameters
  /// start from those of rank 0, which alone writes checkpoints; one that wishes to stop stops all. An exception in one
  /// leaves the others waiting, so end all of them then.
  Reducer* reducer = nullptr;
  double learning_rate = 1e-3;
  Schedule schedule = {};  ///< ConstantSchedule, CosineSchedule or PlateauSchedule
  Index warmup_steps = 0;  ///< the rate climbs linearly over the first steps
  double weight_decay = 0;
  /// Adam, Sgd, Lion, LBfgs, Ema around any of them, or one of your own.
  Poly<Optimizer<T>> optimizer = Adam<T>();
  /// Gradients with a larger Euclidean norm are scaled down to it. 0: never.
  double clip_norm = 5;

  /// (N, C), or one row for all, if the flow takes context.
  BorrowedMatrix<const T> context = {};
  /// One for each row, not negative. Only ratios matter; rows of weight 0 are left out.
  BorrowedVector<const double> weights = {};
  bool allow_negative_weights = false;

  /// For rows on a disk (MappedNpy): 1 shuffles all training rows in each epoch. More: blocks of so many rows in their
  /// order are dealt at random into windows of 4096 blocks or more, and the rows of a window are shuffled, so that the
  /// disk reads blocks and memory holds a window. Of whatever function of a row, and however the rows are sorted, a batch
  /// of m rows then has a mean of variance sigma^2 (1 / m + 1 / 4096) at most, where it is sigma^2 / m of rows that are
  /// shuffled all; every row still comes once in an epoch.
  Index shuffle_block = 1;

  /// Share of the rows that is set aside, at random (`split_rows`), to choose the best parameters by. Unused with
  /// `validation`. Epochs are compared by the mean of the losses in which no row counts for more than ten
  /// interquartile ranges above the median: one far row does not end a training. What is reported is the mean itself.
  double validation_fraction = 0.1;
  BorrowedMatrix<const T> validation = {};
  BorrowedMatrix<const T> validation_context = {};
  BorrowedVector<const double> validation_weights = {};
  Index validate_every = 1;  ///< epochs
  /// Stop after this many epochs without a better validation loss; 0: never.
  Index patience = 30;
  double min_delta = 0;  ///< better means lower by more than this
  EvaluationStatistics statistics = EvaluationStatistics::population;
  /// The weights count in the statistics of normalisation layers too; none may be negative then.
  bool weighted_statistics = false;
  /// With a `reducer`: in training, normalisation layers take the statistics of the batch over all processes, not those
  /// of the own shard, and their gradient goes through all of them (what PyTorch calls SyncBatchNorm). Every process
  /// has one shard then: shards that follow on each other never have their statistics at the same time. One process
  /// needs none of this: a batch in one piece (shards = 1) has the statistics of all its rows, and
  /// `gradient_checkpointing` keeps its memory small.
  bool synchronized_statistics = false;

  /// Stop after this many steps in a row with a loss or gradient that is not finite. Such steps change nothing.
  Index max_consecutive_skips = 50;
  /// Keep in memory only what passes between the parts of a flow, and compute the rest again in the backward pass
  /// (gradient checkpointing): deep flows on large batches take a fifth of the memory and up to 1.3 times the time; the
  /// same bits.
  bool gradient_checkpointing = false;
  /// A loss of each row, short for `.objective = {.rows = ...}`; minus log_prob if both are empty.
  Loss<T> loss = {};
  Objective<T> objective = {};
  /// Of the order of rows, the split, dropout and noise. The same seed gives the same bits for any number of threads.
  std::uint64_t seed = 0;
  /// fit_reverse_kl only: steps of what is called an epoch.
  Index steps_per_epoch = 100;

  Run execution = {};
  /// Called after each epoch; false cancels.
  std::function<bool(const Progress&)> callback = {};
  std::ostream* progress = nullptr;  ///< gets a line for each epoch
  /// Looked at before each step and between tiles of an evaluation.
  StopToken cancel = {};

  /// File to continue from after an interruption; empty: none. Written whole or not at all.
  std::filesystem::path checkpoint = {};
  Index checkpoint_every = 1;        ///< epochs; 0: only by steps and at the end
  Index checkpoint_every_steps = 0;  ///< 0: only by epochs
  /// Continue from `checkpoint` if the file exists, else start. The end is the same to the bit as without a stop.
  bool resume = false;
};

enum class StopReason {
  completed,
  early_stopping,
  cancelled,
  /// Losses, gradients or parameters were not finite. The flow has the parameters of the best validation; without any,
  /// those before the first step; in a run that has no validation, those of the start of the last epoch whose first
  /// loss was finite.
  non_finite
};

struct MeanLogLikelihood {
  double mean = std::numeric_limits<double>::quiet_NaN();  ///< nats per row; weighted if there are weights
  double standard_error = std::numeric_limits<double>::quiet_NaN();
};

/// What came of a fit.
struct FitReport {
  /// One entry for each epoch; the validation loss is NaN in epochs without validation.
  std::vector<double> train_loss;
  std::vector<double> validation_loss;
  std::vector<double> learning_rate;
  /// The epoch, from 0, whose parameters the flow has; -1: those of the last step, or of before, if `stop_reason` is
  /// `non_finite`. A validation loss that is not finite is never the best.
  Index best_epoch = -1;
  StopReason stop_reason = StopReason::completed;
  std::string stop_text;
  Index steps = 0;          ///< skipped ones included
  Index skipped_steps = 0;  ///< loss or gradient was not finite
  double seconds = 0;       ///< an interrupted run's earlier parts included
  Index train_rows = 0;
  Index validation_rows = 0;
  /// Of the final flow; NaN after a cancel, and where there is no such set.
  MeanLogLikelihood train;
  MeanLogLikelihood validation;
  /// Mean log-likelihood by the GaussianBaseline of the training rows (given the context, where each row has one), of
  /// the validation rows, or of the training rows where there are none. NaN if a covariance is singular or has more
  /// than 1000 columns.
  double gaussian_baseline = std::numeric_limits<double>::quiet_NaN();
  /// -mean / (D log 2) of validation, or of training where there is none.
  double bits_per_dimension = std::numeric_limits<double>::quiet_NaN();
  std::vector<RepeatedValues> repeated_values;  ///< for each column
  std::vector<Notice> warnings;  ///< texts, with their parts
};
/// Some lines for people.
std::string to_text(const FitReport& report);

/// Changes the parameters of `flow` so that it fits the rows of `data`, (N, dim); by maximum likelihood unless
/// `options.loss` says otherwise.
///
/// Each step is one of the optimiser on the mean loss of a batch. Row i counts by its weight over the mean weight of
/// all training rows. Normalisation layers use the statistics of the batch, in which weights have a part if
/// `weighted_statistics` says so; layers that start from data (ActNorm) do so before the first step. Penalties that
/// parameters carry are added to the loss. At the end the flow has the parameters of the best validation, or of the
/// last step where there is no validation. It never ends with parameters, or with losses of its own, that are not
/// finite: see StopReason::non_finite.
///
/// Stochastic densities draw anew in each step and train on the mean of -log_prob: of a density whose draws estimate
/// `Estimate::density`, a bound. Validation and the report's likelihoods take one draw for each row, always the same.
///
/// Flows whose conditioners bound their input softly (`FlowOptions::input_bound`) take columns and context of location
/// 0 and scale 1; the report warns of others, by column. `prepare_and_fit` makes them so.
///
/// The flow must not be used by others meanwhile. Rows are copied once if the data is stored by columns.
///
/// @throws ShapeError   if sizes do not fit, or a loss over the batch is not one number.
/// @throws DomainError  if there are no rows, a value or weight is not finite, a row lies outside the support (a
///                      training row on an open bound of it in the first epoch, a validation row in the first
///                      validation), the weights do not sum to more than 0, or an option is out of range; text and
///                      notice() name row and column.
/// @throws IoError      if the checkpoint cannot be written or read, or belongs to another run: names what differs.
template <Scalar T>
FitReport fit(Distribution<T>& flow, std::type_identity_t<MatrixView<const T>> data,
              const std::type_identity_t<FitOptions<T>>& options = {});

/// Changes the parameters of `flow` so that its samples follow `target`, a log density up to a constant, by minimising
/// KL(flow || target) over samples of `batch_size` rows.
///
/// Normalisation layers use running statistics. The flow must be reparameterized; its sampling direction is used.
/// Of the options, those about data, validation and weights have no effect. A loss is an estimate of the divergence up
/// to the target's constant.
/// @throws NotImplemented  if the flow's samples have no gradient.
/// @throws DomainError     if the optimiser needs the full batch (LBfgs), for every step has samples of its own.
template <Scalar T>
FitReport fit_reverse_kl(Distribution<T>& flow, std::type_identity_t<Target<T>> target,
                         const std::type_identity_t<FitOptions<T>>& options = {});

}  // namespace pushforward
