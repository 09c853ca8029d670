#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <pushforward/flows/builders.hpp>
#include <pushforward/stop.hpp>
#include <pushforward/training/prepare.hpp>

namespace pushforward {

/// The rows that a candidate of `fit_best` starts from, as its model will see them: standardised, and without linear
/// correlations where `PrepareOptions::whiten` and `Candidate::whiten` say so.
template <Scalar T>
struct CandidateTask {
  Index dim = 0;
  Index context_dim = 0;
  MatrixView<const T> data;  ///< to train on; of large tables a part at random
  VectorView<const double> weights;
  MatrixView<const T> validation;  ///< none where `chosen` is given
  VectorView<const double> validation_weights;
  /// Of flows with a Student t base: the degrees of freedom that each column follows best; else empty.
  std::vector<double> tails;
  /// Where the winner of folds is fitted to all rows, what `start` gave for the first of them: no rows are left to choose
  /// anything by, so what was chosen stays. Else null.
  const Distribution<T>* chosen = nullptr;
  std::uint64_t seed = 0;
  /// Whoever takes long looks at it, and ends with what there is.
  StopToken cancel = {};
};

/// A model class that takes part in `fit_best`.
template <Scalar T>
struct Candidate {
  std::string name;
  /// The model of the rows as it is before the first step.
  std::function<Poly<Distribution<T>>(const CandidateTask<T>&)> start;
  /// Goes on by steps of the optimiser; false: it starts fitted.
  bool trains = true;
  /// It sees rows without linear correlations, where `PrepareOptions::whiten` says so; false: columns as they are. What
  /// starts fitted needs it. Flows end higher without: the fitted axes are those of nothing that the columns mean.
  bool whiten = true;
};

/// A preset as a candidate: `flow_preset(preset)` with the task's columns of context and seed, and where `options` names
/// no base, a Student t one for the columns whose tails are heavy.
/// @throws DomainError  if there is no such preset.
template <Scalar T>
Candidate<T> flow_candidate(std::string name, std::string_view preset, const FlowOptions& options = {});

/// Those that `fit_best` takes by itself for so many rows:
/// - "gaussian", with full covariance, and "mixture", of Gaussians by `fit_gaussian_mixture`, their number from 2 to 30
///   chosen on the validation rows, from 5,000 to 10,000 of the rows at most, for at most 100 columns; both without
///   context only;
/// - "maf" with tanh networks, "nsf_ar" and, from 2 columns on, "nsf" and "real_nvp": the presets, with splines that start from the
///   identity, a Student t base where tails are heavy (`FitBestOptions::base`), and dropout for fewer than 2,000 rows;
/// - "maf, small", "nsf_ar, small": 3 and 2 layers of 32 units; "nsf_ar, large", 128 units, from 20,000 rows on.
///
/// Of more than 300 columns splines are mixed by permutations instead of linear maps, and of more than 1,000 the Gaussian
/// and "maf, small" are all.
template <Scalar T>
std::vector<Candidate<T>> default_candidates(Index rows, Index dim, Index context_dim = 0);

/// How to choose; an aggregate: `fit_best(data, {.steps = 20'000, .fit = {.context = context, .seed = 3}})`.
template <Scalar T>
struct FitBestOptions {
  /// Empty: `default_candidates`.
  std::vector<Candidate<T>> candidates = {};
  /// Steps of all candidates together; 0: `default_steps`. The same number gives the same choice and the same bits for
  /// any number of threads.
  Index steps = 0;
  /// Instead of steps, about so many seconds; 0: steps.
  double seconds = 0;
  /// The rows are judged in so many parts, each by models of the others; 1: by the rows that `fit` sets aside; 0: 5 if
  /// there are fewer than 2,000 rows and none for validation (fewer of less than 10 rows), else 1.
  Index folds = 0;
  /// So many fits of the winner, each with random numbers of its own, as the components of a Mixture: it is on average no
  /// worse than one of them, and on few rows better by tenths of a nat; log_prob takes so many times as long.
  Index ensemble = 1;
  /// `standardize` counts where `choose_standardization` is false. True: median and quartiles if tails are heavy, else
  /// mean and standard deviation.
  bool choose_standardization = true;
  PrepareOptions prepare = {.whiten = true};
  /// Of all flows: normal or student_t. Without a value: student_t if some column's tails are too heavy for a normal one.
  std::optional<Base> base = std::nullopt;
  /// Columns whose numbers lie on grids: the model is Quantized then, within `cell_support`, and all scores are of masses
  /// of cells. Without a value: those that `find_grids` finds where the support has each_by_itself. None: {}.
  std::optional<std::vector<GridColumn>> rounded = std::nullopt;
  /// Context, weights, validation, seed, learning rate, precautions, execution, cancel: as for `fit`. Its epochs,
  /// batch_size, schedule, validate_every, patience and checkpoint are not looked at: the first five follow from the
  /// number of rows and the steps. Where folds is 1 and no validation rows are given, `validation_fraction` are set aside.
  FitOptions<T> fit = {};
  /// Called after each stage of a candidate, with its name, the stage from 1, and their number; false cancels: then the
  /// best so far is the result.
  std::function<bool(const std::string& candidate, Index stage, Index stages)> callback = {};
};

/// 40,000 for fewer than 2,000 rows, which several folds share; else 8,000, and one for each row up to 40,000 in all.
/// Steps of more than 100 columns take longer, so there are fewer, 100 / columns of these, but no less than a twentieth.
Index default_steps(Index rows, Index columns = 1);

/// How a candidate did.
struct CandidateReport {
  std::string name;
  MeanLogLikelihood validation;  ///< of its last stage
  /// The winner's log-likelihood minus its own, over the same rows; 0 for the winner.
  MeanLogLikelihood behind;
  Index stages = 0;  ///< that it took part in
  Index steps = 0;
  Index parameters = 0;
  double seconds = 0;
  std::string problem;  ///< why it could not be fitted; empty: it was
};

/// A model of raw data, and how it was chosen.
template <Scalar T>
struct Best {
  /// Quantized where columns are rounded, around TransformedDistribution.
  Poly<Distribution<T>> model = {};
  std::vector<GridColumn> rounded = {};
  std::vector<CandidateReport> candidates = {};  ///< the chosen one first, then the best
  FitReport report = {};                         ///< of the model's last fit
  bool heavy_tails = false;  ///< the flows had a Student t base
  Index folds = 1;
  bool complete = true;  ///< false: cancelled on the way; the model is the best one so far, not fitted to all rows
  /// The choice and why, in a sentence.
  std::string reason = {};
};
/// The table of candidates, for people.
std::string to_text(const std::vector<CandidateReport>& candidates);

/// Fits several model classes to the rows of `data`, (N, dim), and gives the one that describes rows best that it has
/// not seen.
///
/// Candidates race in stages (successive halving, Jamieson and Talwalkar 2016): in each all that are left get the same
/// number of steps, and the better half by mean validation log-likelihood goes on; the last stage, of two or, where the
/// second is more than 0.2 nats and four standard errors behind, of one, gets 0.7 of all steps, its learning rate
/// falling to 0. A candidate that starts fitted stays in the table. Of few rows (see
/// `folds`) every candidate is fitted to each fold's training rows, judged by all rows, and the winner is fitted again
/// to all of them, with as many steps as its folds had when they were best. Tables of more than 50,000 rows race on as
/// many, at random, and the winner goes on with all. Of candidates that are less than 0.02 nats and no more than a
/// standard error of the difference behind the best one, the one with the fewest parameters wins.
///
/// All of standardisation, support, grids and the choice of tails is in the model, as with `prepare_and_fit`.
/// @throws ShapeError, DomainError  as `fit`; if no candidate could be fitted, with the reason of each.
template <Scalar T>
Best<T> fit_best(MatrixView<const T> data, const std::type_identity_t<FitBestOptions<T>>& options = {});

}  // namespace pushforward
