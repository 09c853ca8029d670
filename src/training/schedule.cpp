#include <pushforward/training/schedule.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include <pushforward/error.hpp>

#include "src/core/number_text.hpp"

namespace pushforward {

namespace {

template <class V>
void check(bool good, const char* what, V value) {
  if (!good) throw DomainError(std::string("LearningRate: ") + what + ", got " + detail::number_text(value));
}

}  // namespace

LearningRate::LearningRate(Schedule schedule, double rate, Index total_steps, Index warmup_steps)
    : schedule_(schedule), total_steps_(total_steps), warmup_steps_(warmup_steps) {
  check(rate > 0 && std::isfinite(rate), "the rate must be positive and finite", rate);
  check(total_steps >= 0, "the number of steps must not be negative", total_steps);
  check(warmup_steps >= 0, "the number of warm-up steps must not be negative", warmup_steps);
  if (const auto* cosine = std::get_if<CosineSchedule>(&schedule_))
    check(cosine->floor >= 0 && cosine->floor <= rate, "the floor must lie in [0, rate]", cosine->floor);
  if (const auto* plateau = std::get_if<PlateauSchedule>(&schedule_)) {
    check(plateau->factor > 0 && plateau->factor < 1, "the factor must lie in (0, 1)", plateau->factor);
    check(plateau->patience >= 0, "patience must not be negative", plateau->patience);
    check(plateau->cooldown >= 0, "cooldown must not be negative", plateau->cooldown);
    check(plateau->threshold >= 0, "the threshold must not be negative", plateau->threshold);
    check(plateau->floor >= 0, "the floor must not be negative", plateau->floor);
  }
  state_.rate = rate;
}

double LearningRate::at(Index step) const {
  if (step < warmup_steps_)
    return state_.rate * static_cast<double>(step + 1) / static_cast<double>(warmup_steps_);
  if (const auto* cosine = std::get_if<CosineSchedule>(&schedule_)) {
    const Index all = std::max<Index>(total_steps_ - warmup_steps_, 1);
    const double t = static_cast<double>(std::min(step - warmup_steps_, all)) / static_cast<double>(all);
    return cosine->floor + (state_.rate - cosine->floor) * (1 + std::cos(std::numbers::pi * t)) / 2;
  }
  return state_.rate;
}

void LearningRate::report(double loss) {
  const auto* plateau = std::get_if<PlateauSchedule>(&schedule_);
  if (!plateau) return;
  constexpr double smallest_change = 1e-8;
  const double limit =
      plateau->relative ? state_.best * (1 - plateau->threshold) : state_.best - plateau->threshold;
  if (loss < limit) {
    state_.best = loss;
    state_.bad = 0;
  } else {
    ++state_.bad;
  }
  if (state_.cooldown > 0) {
    --state_.cooldown;
    state_.bad = 0;
  }
  if (state_.bad > plateau->patience) {
    const double next = std::max(state_.rate * plateau->factor, plateau->floor);
    if (state_.rate - next > smallest_change) state_.rate = next;
    state_.cooldown = plateau->cooldown;
    state_.bad = 0;
  }
}

}  // namespace pushforward
