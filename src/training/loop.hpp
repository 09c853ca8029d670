#pragma once

// The loop of all kinds of runs: epochs, steps, schedules, early stopping, checkpoints.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <pushforward/training/fit.hpp>

#include "src/training/checkpoint.hpp"
#include "src/training/step.hpp"

namespace pushforward::detail {

/// When a checkpoint is due, and whether the last one holds all that was done.
class CheckpointCadence {
 public:
  CheckpointCadence(Index every_epochs, Index every_steps) : every_epochs_(every_epochs), every_steps_(every_steps) {}
  bool after_step(Index step) {
    saved_ = false;
    return every_steps_ > 0 && step % every_steps_ == 0;
  }
  bool after_epoch(Index epoch) {
    saved_ = false;
    return every_epochs_ > 0 && epoch % every_epochs_ == 0;
  }
  bool at_end() const { return !saved_; }
  void saved() { saved_ = true; }

 private:
  Index every_epochs_, every_steps_;
  bool saved_ = false;
};

/// Losses of rows that say something of the model: none is NaN, and not all are infinite.
inline bool are_numbers(const std::vector<double>& losses) {
  return std::none_of(losses.begin(), losses.end(), [](double loss) { return std::isnan(loss); }) &&
         std::any_of(losses.begin(), losses.end(), [](double loss) { return std::isfinite(loss); });
}

/// What a step does, what an epoch is and how the flow is judged are said by the derived class.
template <Scalar T>
class Training {
 public:
  Training(std::string where, Distribution<T>& flow, const FitOptions<T>& options);
  virtual ~Training() = default;
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  FitReport run();

 protected:
  Distribution<T>& flow() { return flow_; }
  const std::string& where() const { return where_; }
  const FitOptions<T>& options() const { return options_; }
  Execution& execution() { return execution_; }
  Stepper<T>& stepper() { return stepper_; }
  /// Looked at within evaluations, which several processes must not leave alone.
  StopToken cancel() const { return options_.reducer ? StopToken() : options_.cancel; }
  Index epoch() const { return state_.epoch; }
  Index steps() const { return state_.step; }
  bool has_best() const { return state_.stopping.best_epoch >= 0; }
  /// In an earlier epoch.
  bool has_validated() const {
    return std::any_of(state_.validation_loss.begin(), state_.validation_loss.end(),
                       [](double loss) { return !std::isnan(loss); });
  }

 protected:
  struct Validation {
    double loss;    ///< the mean
    double judged;  ///< what epochs are compared by
  };

 private:
  struct Ending {
    StopReason reason;
    std::string text;
  };

  /// What makes a run this one, besides what `fingerprint_of` says.
  virtual Fingerprint fingerprint() const = 0;
  virtual Index batches_per_epoch() const = 0;
  virtual Index rows_of(Index batch) const = 0;
  virtual void start_from_data() {}
  /// Everything is as the first step of this part of the run finds it.
  virtual void started() {}
  virtual void begin_epoch(Index epoch) = 0;
  virtual StepOutcome step(Index batch, const RandomCall& dropout, const typename Stepper<T>::Settings& settings) = 0;
  virtual bool validates() const { return false; }
  /// Nothing if cancelled.
  virtual std::optional<Validation> validate() {
    return Validation{std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  }
  virtual void finish(FitReport& report, bool cancelled) = 0;
  /// After `finish` of a run without validation: the flow's losses are numbers, and not all of them infinite.
  virtual bool ends_well() = 0;

  void start();
  std::optional<Ending> run_epoch();
  std::optional<Ending> run_step();
  std::optional<Ending> close_epoch();
  /// True if it is true in one of the processes.
  bool any_process(bool wish) const;
  /// Copies of all tensors, in the place of `copies`.
  void copy_to(std::vector<Tensor<T>>& copies);
  void save();
  FitReport report(Ending ending);
  FitReport describe(const Ending& ending);
  /// "at the best validation, of epoch 3".
  std::string kept_text() const;
  static Ending cancelled() { return {StopReason::cancelled, "cancelled"}; }
  /// Of this part of the run.
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }
  Execution& choose_execution() {
    return options_.execution.execution() ? *options_.execution.execution() : own_execution_.emplace();
  }

  std::string where_;
  Distribution<T>& flow_;
  const FitOptions<T>& options_;
  std::optional<Execution> own_execution_;
  Execution& execution_;
  Stepper<T> stepper_;
  Engine dropout_;
  CheckpointCadence cadence_;
  std::optional<LearningRate> rate_;
  Fingerprint fingerprint_;
  RunState<T> state_;
  std::vector<Tensor<T>> epoch_start_;  // where nothing is validated: what may be kept if its first loss is finite
  Index batches_ = 0;
  bool replaced_state_ = false;  // by that of the checkpoint, which is of another start
  std::chrono::steady_clock::time_point begin_;
  double earlier_seconds_ = 0;  // of the parts before an interruption
  Index first_step_ = 0;        // of this part
};

extern template class Training<float>;
extern template class Training<double>;

}  // namespace pushforward::detail
