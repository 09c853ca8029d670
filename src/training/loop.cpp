#include "src/training/loop.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>

#include <fmt/format.h>

#include "src/core/number_text.hpp"
#include "src/training/options.hpp"

namespace pushforward::detail {

namespace {
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr const char* way_out = "a smaller learning_rate or clip_norm may help";
}

template <Scalar T>
Training<T>::Training(std::string where, Distribution<T>& flow, const FitOptions<T>& options)
    : where_(std::move(where)), flow_(flow), options_(options), execution_(choose_execution()),
      stepper_((check_options(where_, options), flow), options.optimizer, execution_, options.shards, options.reducer,
               where_),
      dropout_(Engine(options.seed).stream("dropout")),
      cadence_(options.checkpoint_every, options.checkpoint_every_steps) {}

template <Scalar T>
FitReport Training<T>::run() {
  start();
  std::optional<Ending> ending;
  while (!ending && state_.epoch < options_.epochs)
    if (validates() && state_.stopping.exhausted(options_.patience))
      ending = {StopReason::early_stopping,
                fmt::format("no better validation loss in {} epochs", state_.stopping.since_best)};
    else
      ending = run_epoch();
  if (!ending) ending = {StopReason::completed, fmt::format("all {} epochs done", options_.epochs)};
  const bool validated =
      validates() && state_.epoch > 0 && state_.epoch >= std::min(options_.validate_every, options_.epochs);
  if (validated && !has_best() && ending->reason != StopReason::cancelled && ending->reason != StopReason::non_finite)
    ending = {StopReason::non_finite,
              fmt::format("no validation loss was finite in {} epochs (the last: {}); {}", state_.epoch,
                          unsigned_nan(state_.validation_loss.back()), way_out)};
  if (ending->reason != StopReason::non_finite && cadence_.at_end()) save();
  return report(*ending);
}

template <Scalar T>
void Training<T>::start() {
  begin_ = std::chrono::steady_clock::now();
  batches_ = batches_per_epoch();
  rate_.emplace(options_.schedule, options_.learning_rate, options_.epochs * batches_, options_.warmup_steps);
  fingerprint_ = fingerprint_of(flow_, options_);
  fingerprint_.merge(fingerprint());
  state_.rate = rate_->state();
  if (options_.resume && std::filesystem::exists(options_.checkpoint)) {
    const std::string given = state_checksum(stepper_.slots());
    load_checkpoint(options_.checkpoint, stepper_.slots(), stepper_.optimizer(), state_, fingerprint_);
    rate_->set_state(state_.rate);
    replaced_state_ = !state_.start.empty() && given != state_.start && given != state_checksum(stepper_.slots()) &&
                      (!has_best() || given != state_checksum(stepper_.slots(), state_.kept));
  } else {
    state_.start = state_checksum(stepper_.slots());
    start_from_data();
  }
  if (options_.reducer)
    for (const Slot<T>& slot : stepper_.slots()) options_.reducer->broadcast(slot.tensor->values());
  if (state_.kept.empty()) copy_to(state_.kept);
  started();
  earlier_seconds_ = state_.seconds;
  first_step_ = state_.step;
}

template <Scalar T>
std::optional<typename Training<T>::Ending> Training<T>::run_epoch() {
  begin_epoch(state_.epoch);
  while (state_.batch < batches_) {
    if (any_process(options_.cancel.stop_requested())) return cancelled();
    if (std::optional<Ending> ending = run_step()) return ending;
  }
  return close_epoch();
}

template <Scalar T>
std::optional<typename Training<T>::Ending> Training<T>::run_step() {
  const RandomCall dropout = Engine(dropout_.seed(), static_cast<std::uint64_t>(state_.step)).next_call();
  const bool first_of_epoch = state_.batch == 0 && !validates();
  if (first_of_epoch) {
    const typename Stepper<T>::Result judged(stepper_.optimizer());
    copy_to(epoch_start_);
  }
  const StepOutcome outcome =
      step(state_.batch, dropout, {rate_->at(state_.step), options_.weight_decay, options_.clip_norm});
  if (outcome.applied) {
    const double rows = static_cast<double>(rows_of(state_.batch));
    state_.loss_sum += outcome.loss * rows;
    state_.loss_rows += rows;
    state_.consecutive_skips = 0;
    if (first_of_epoch) std::swap(state_.kept, epoch_start_);
  } else {
    ++state_.skipped;
    ++state_.consecutive_skips;
  }
  ++state_.batch;
  ++state_.step;
  if (!outcome.broken.empty())
    return Ending{StopReason::non_finite,
                  fmt::format("the optimizer {} wrote a value that is not finite into '{}' in step {}; {}",
                              stepper_.optimizer().describe().type, outcome.broken, state_.step, way_out)};
  const bool due = cadence_.after_step(state_.step);
  if (state_.consecutive_skips >= options_.max_consecutive_skips) {
    const std::string worst = stepper_.worst_parameter();
    return Ending{StopReason::non_finite,
                  fmt::format("{} steps in a row had a loss or gradient that is not finite (last loss {}{}); {}",
                              state_.consecutive_skips, unsigned_nan(outcome.loss),
                              worst.empty() ? "" : ", gradient of '" + worst + "'", way_out)};
  }
  if (due) save();
  return std::nullopt;
}

/// Everything up to here can be repeated from the same state, so a stop within the validation changes nothing.
template <Scalar T>
std::optional<typename Training<T>::Ending> Training<T>::close_epoch() {
  Progress progress{.epoch = state_.epoch + 1,
                    .epochs = options_.epochs,
                    .step = state_.step,
                    .train_loss = state_.loss_rows > 0 ? state_.loss_sum / state_.loss_rows : nan,
                    .validation_loss = nan,
                    .learning_rate = rate_->at(std::max<Index>(state_.step - 1, 0))};
  if (!validates()) {
    rate_->report(progress.train_loss);
  } else if (progress.epoch % options_.validate_every != 0 && progress.epoch != options_.epochs) {
    state_.stopping.wait();
  } else {
    const typename Stepper<T>::Result judged(stepper_.optimizer());
    const std::optional<Validation> validation = validate();
    if (!validation) return cancelled();
    progress.validation_loss = validation->loss;
    rate_->report(validation->judged);
    if (state_.stopping.report(state_.epoch, validation->judged, options_.min_delta)) copy_to(state_.kept);
  }
  state_.train_loss.push_back(progress.train_loss);
  state_.validation_loss.push_back(progress.validation_loss);
  state_.learning_rate.push_back(progress.learning_rate);
  ++state_.epoch;
  state_.batch = 0;
  state_.loss_sum = state_.loss_rows = 0;
  if (cadence_.after_epoch(state_.epoch)) save();

  progress.seconds = earlier_seconds_ + seconds();
  progress.seconds_left = seconds() / static_cast<double>(std::max<Index>(state_.step - first_step_, 1)) *
                          static_cast<double>((options_.epochs - state_.epoch) * batches_);
  if (options_.progress) *options_.progress << to_text(progress) << std::endl;
  if (any_process(options_.callback && !options_.callback(progress))) return cancelled();
  return std::nullopt;
}

template <Scalar T>
bool Training<T>::any_process(bool wish) const {
  if (!options_.reducer) return wish;
  double wishes = wish ? 1 : 0;
  options_.reducer->sum(std::span(&wishes, 1));
  return wishes > 0;
}

template <Scalar T>
void Training<T>::copy_to(std::vector<Tensor<T>>& copies) {
  const std::vector<Slot<T>>& slots = stepper_.slots();
  if (copies.empty())
    for (const Slot<T>& slot : slots) copies.push_back(*slot.tensor);
  else
    for (std::size_t i = 0; i < slots.size(); ++i)
      std::copy(slots[i].tensor->values().begin(), slots[i].tensor->values().end(), copies[i].data());
}

template <Scalar T>
void Training<T>::save() {
  if (options_.checkpoint.empty() || (options_.reducer && options_.reducer->rank() > 0)) return;
  state_.rate = rate_->state();
  state_.seconds = earlier_seconds_ + seconds();
  save_checkpoint(options_.checkpoint, stepper_.slots(), stepper_.optimizer(), state_, fingerprint_);
  cadence_.saved();
}

template <Scalar T>
FitReport Training<T>::report(Ending ending) {
  FitReport report = describe(ending);
  const bool ended = ending.reason == StopReason::completed || ending.reason == StopReason::early_stopping;
  if (ended && state_.step > 0 && !validates() && !ends_well()) {
    ending = {StopReason::non_finite, fmt::format("{}, but the losses that the flow then gave were not finite; {}",
                                                  ending.text, way_out)};
    report = describe(ending);
  }
  report.seconds = earlier_seconds_ + seconds();
  return report;
}

template <Scalar T>
std::string Training<T>::kept_text() const {
  if (has_best()) return fmt::format("at the best validation, of epoch {}", state_.stopping.best_epoch + 1);
  return validates() ? "before the first step" : "at the start of the last epoch whose first loss was finite";
}

template <Scalar T>
FitReport Training<T>::describe(const Ending& ending) {
  if (has_best() || ending.reason == StopReason::non_finite)
    for (std::size_t i = 0; i < stepper_.slots().size(); ++i)
      std::copy(state_.kept[i].values().begin(), state_.kept[i].values().end(), stepper_.slots()[i].tensor->data());
  else
    stepper_.optimizer().put_result();
  FitReport report;
  report.train_loss = state_.train_loss;
  report.validation_loss = state_.validation_loss;
  report.learning_rate = state_.learning_rate;
  report.stop_reason = ending.reason;
  report.stop_text = ending.text;
  report.steps = state_.step;
  report.skipped_steps = state_.skipped;
  report.best_epoch = state_.stopping.best_epoch;
  if (ending.reason == StopReason::non_finite)
    report.warnings.push_back(
        {.problem = fmt::format("the fit failed; the flow is as it was {}", kept_text())});
  if (state_.skipped > 0)
    report.warnings.push_back(
        {.problem = fmt::format("{} of {} steps had a loss or gradient that is not finite and were skipped",
                                state_.skipped, state_.step)});
  if (replaced_state_)
    report.warnings.push_back(
        {.problem = fmt::format("the state that the flow was given (averages of normalisation layers and the like) is not "
                                "that which the run of '{}' started from, nor one of the checkpoint's; it was replaced",
                                options_.checkpoint.string()),
         .option = "resume"});
  finish(report, ending.reason == StopReason::cancelled);
  return report;
}

template class Training<float>;
template class Training<double>;

}  // namespace pushforward::detail
