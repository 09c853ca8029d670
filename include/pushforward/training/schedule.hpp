#pragma once

#include <limits>
#include <variant>

#include <pushforward/views.hpp>

namespace pushforward {

/// The learning rate stays as it is.
struct ConstantSchedule {};

/// From the learning rate down to `floor` along half a cosine over all steps of the run:
/// floor + (rate - floor) (1 + cos(pi t)) / 2 for the fraction t of the steps that is done.
/// @source Loshchilov and Hutter 2017 (SGDR), eq. 5, without restarts.
struct CosineSchedule {
  double floor = 0;
};

/// Multiplies the rate by `factor` when the loss has not improved for more than `patience` epochs. The loss is that of
/// validation, or of training where there is no validation set.
struct PlateauSchedule {
  double factor = 0.5;
  Index patience = 10;
  /// Better means below best - threshold or, with `relative`, below best * (1 - threshold), whatever the sign of best:
  /// losses in nats may have either sign, so the difference is the default.
  double threshold = 1e-4;
  bool relative = false;
  Index cooldown = 0;  ///< epochs after a reduction in which bad ones are not counted
  double floor = 0;
};

using Schedule = std::variant<ConstantSchedule, CosineSchedule, PlateauSchedule>;

/// The learning rate of each step, by a schedule.
class LearningRate {
 public:
  /// The first `warmup_steps` steps climb linearly to `rate`; the schedule runs over the others.
  /// @throws DomainError  if rate is not positive and finite, a factor does not lie in (0, 1), a floor, patience,
  ///                      cooldown, threshold or number of steps is negative.
  LearningRate(Schedule schedule, double rate, Index total_steps, Index warmup_steps = 0);

  /// The rate of step number `step`, from 0.
  double at(Index step) const;
  /// Tells the loss of an epoch; only PlateauSchedule listens.
  void report(double loss);

  /// What `report` changes; written to checkpoints.
  struct State {
    double rate = 0;
    double best = std::numeric_limits<double>::infinity();
    Index bad = 0;
    Index cooldown = 0;
  };
  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

 private:
  Schedule schedule_;
  Index total_steps_;
  Index warmup_steps_;
  State state_;
};

}  // namespace pushforward
