#include <pushforward/training/fit.hpp>

#include <bit>
#include <chrono>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <ostream>

#include <fmt/format.h>

#include "src/training/checkpoint.hpp"
#include "src/training/population.hpp"
#include "src/training/rows.hpp"
#include "src/training/step.hpp"

namespace pushforward {

namespace {

using namespace detail;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

template <Scalar T>
void check_options(const std::string& where, const FitOptions<T>& o) {
  const auto check = [&](bool good, const char* name, double value, const char* expected) {
    if (!good) throw DomainError(fmt::format("{}: {} must be {}, got {}", where, name, expected, value));
  };
  const auto at_least = [&](Index value, Index least, const char* name) {
    check(value >= least, name, static_cast<double>(value), least == 0 ? "at least 0" : "at least 1");
  };
  at_least(o.epochs, 0, "epochs");
  at_least(o.batch_size, 1, "batch_size");
  at_least(o.validate_every, 1, "validate_every");
  at_least(o.patience, 0, "patience");
  at_least(o.max_consecutive_skips, 1, "max_consecutive_skips");
  at_least(o.steps_per_epoch, 1, "steps_per_epoch");
  at_least(o.checkpoint_every, 0, "checkpoint_every");
  at_least(o.checkpoint_every_steps, 0, "checkpoint_every_steps");
  check(o.weight_decay >= 0 && std::isfinite(o.weight_decay), "weight_decay", o.weight_decay, "at least 0");
  check(o.clip_norm >= 0, "clip_norm", o.clip_norm, "at least 0");
  check(o.min_delta >= 0, "min_delta", o.min_delta, "at least 0");
  if (o.resume && o.checkpoint.empty()) throw DomainError(where + ": resume needs the path of a checkpoint");
}

std::string to_text(const Schedule& schedule) {
  if (const auto* cosine = std::get_if<CosineSchedule>(&schedule)) return fmt::format("cosine to {}", cosine->floor);
  if (const auto* p = std::get_if<PlateauSchedule>(&schedule))
    return fmt::format("plateau {} {} {} {} {} {}", p->factor, p->patience, p->threshold, p->relative, p->cooldown,
                       p->floor);
  return "constant";
}

std::string to_text(const Description& d) {
  std::string text = d.type + "(";
  for (const auto& [name, value] : d.constants) {
    text += name + "=";
    std::visit(
        [&](const auto& v) {
          if constexpr (requires { v.begin(); } && !std::is_same_v<std::decay_t<decltype(v)>, std::string>) {
            for (const auto& item : v) text += fmt::format("{} ", item);
          } else {
            text += fmt::format("{}", v);
          }
        },
        value);
    text += ",";
  }
  for (const auto& [name, child] : d.children) text += name + ":" + to_text(child);
  return text + ")";
}

std::string checksum_of(const std::string& text) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("{:016x}", h);
}

MeanLogLikelihood mean_log_likelihood(const std::vector<double>& losses, const double* weights,
                                      const std::int64_t* index) {
  const auto weight = [&](std::size_t i) { return weights ? weights[index[i]] : 1.0; };
  double total = 0, sum = 0, square = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    total += weight(i);
    sum -= weight(i) * losses[i];
  }
  MeanLogLikelihood result;
  if (losses.empty()) return result;
  result.mean = sum / total;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const double d = weight(i) * (-losses[i] - result.mean);
    square += d * d;
  }
  const double n = static_cast<double>(losses.size());
  result.standard_error = n > 1 ? std::sqrt(square * n / (n - 1)) / total : nan;
  return result;
}

// ----------------------------------------------------------------------------------------------------------- the loop

/// Epochs, steps, schedules, early stopping, checkpoints; what a step does is said by the derived class.
template <Scalar T>
class Training {
 public:
  Training(std::string where, Distribution<T>& flow, const FitOptions<T>& options)
      : where_(std::move(where)), flow_(flow), options_(options), execution_(choose_execution()),
        stepper_((check_options(where_, options), flow), options.adam, execution_),
        dropout_(Engine(options.seed).stream("dropout")) {}
  virtual ~Training() = default;
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  FitReport run() {
    const auto start = std::chrono::steady_clock::now();
    const Index batches = batches_per_epoch();
    LearningRate rate(options_.schedule, options_.learning_rate, options_.epochs * batches, options_.warmup_steps);
    const Fingerprint own = fingerprint();
    state_.rate = rate.state();
    if (options_.resume && std::filesystem::exists(options_.checkpoint)) {
      load_checkpoint(options_.checkpoint, stepper_.slots(), stepper_.adam(), state_, own);
      rate.set_state(state_.rate);
    } else {
      start_from_data();
    }
    const double earlier = state_.seconds;
    const Index first_step = state_.step;
    const auto seconds_now = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    const auto save = [&] {
      if (options_.checkpoint.empty()) return;
      state_.rate = rate.state();
      state_.seconds = earlier + seconds_now();
      save_checkpoint(options_.checkpoint, stepper_.slots(), stepper_.adam(), state_, own);
      saved_ = true;
    };

    StopReason reason = StopReason::completed;
    std::string text = fmt::format("all {} epochs done", options_.epochs);
    const auto cancelled = [&] {
      reason = StopReason::cancelled;
      text = "cancelled";
    };
    for (bool going = true; going && state_.epoch < options_.epochs;) {
      if (validates() && options_.patience > 0 && state_.since_best >= options_.patience) {
        reason = StopReason::early_stopping;
        text = fmt::format("no better validation loss in {} epochs", state_.since_best);
        break;
      }
      begin_epoch(state_.epoch);
      while (going && state_.batch < batches) {
        if (options_.cancel.stop_requested()) {
          cancelled();
          going = false;
          break;
        }
        const double now = rate.at(state_.step);
        const RandomCall dropout =
            Engine(dropout_.seed(), static_cast<std::uint64_t>(state_.step)).next_call();
        const StepOutcome outcome =
            step(state_.batch, dropout, {now, options_.weight_decay, options_.clip_norm});
        if (outcome.applied) {
          const double rows = static_cast<double>(rows_of(state_.batch));
          state_.loss_sum += outcome.loss * rows;
          state_.loss_rows += rows;
          state_.consecutive_skips = 0;
        } else {
          ++state_.skipped;
          ++state_.consecutive_skips;
        }
        ++state_.batch;
        ++state_.step;
        saved_ = false;
        if (state_.consecutive_skips >= options_.max_consecutive_skips) {
          reason = StopReason::non_finite;
          const std::string worst = stepper_.worst_parameter();
          text = fmt::format("{} steps in a row had a loss or gradient that is not finite (last loss {}{}); a smaller "
                             "learning rate may help",
                             state_.consecutive_skips, outcome.loss,
                             worst.empty() ? "" : ", gradient of '" + worst + "'");
          going = false;
        } else if (options_.checkpoint_every_steps > 0 && state_.step % options_.checkpoint_every_steps == 0) {
          save();
        }
      }
      if (!going) break;

      // Everything up to here can be repeated from the same state, so a stop within changes nothing.
      double validation = nan;
      const bool due = (state_.epoch + 1) % options_.validate_every == 0 || state_.epoch + 1 == options_.epochs;
      if (validates() && due && !validate(validation)) {
        cancelled();
        break;
      }
      const double train = state_.loss_rows > 0 ? state_.loss_sum / state_.loss_rows : nan;
      Progress progress{.epoch = state_.epoch + 1,
                        .epochs = options_.epochs,
                        .step = state_.step,
                        .train_loss = train,
                        .validation_loss = validation,
                        .learning_rate = rate.at(std::max<Index>(state_.step - 1, 0))};
      state_.train_loss.push_back(train);
      state_.validation_loss.push_back(validation);
      state_.learning_rate.push_back(progress.learning_rate);
      if (!validates()) rate.report(train);
      if (validates()) {
        ++state_.since_best;
        if (due) {
          rate.report(validation);
          // The first epoch counts even with an infinite loss: there must be something to return to.
          if (validation < state_.best_loss - options_.min_delta || state_.best.empty()) {
            state_.best_loss = std::isnan(validation) ? std::numeric_limits<double>::infinity() : validation;
            state_.best_epoch = state_.epoch;
            state_.since_best = 0;
            remember_best();
          }
        }
      }
      ++state_.epoch;
      state_.batch = 0;
      state_.loss_sum = state_.loss_rows = 0;
      saved_ = false;
      if (options_.checkpoint_every > 0 && state_.epoch % options_.checkpoint_every == 0) save();

      progress.seconds = earlier + seconds_now();
      progress.seconds_left = seconds_now() / static_cast<double>(std::max<Index>(state_.step - first_step, 1)) *
                              static_cast<double>((options_.epochs - state_.epoch) * batches);
      if (options_.progress) *options_.progress << pushforward::to_text(progress) << std::endl;
      if (options_.callback && !options_.callback(progress)) {
        cancelled();
        break;
      }
    }
    if (reason != StopReason::non_finite && !saved_) save();

    FitReport report;
    report.train_loss = state_.train_loss;
    report.validation_loss = state_.validation_loss;
    report.learning_rate = state_.learning_rate;
    report.stop_reason = reason;
    report.stop_text = text;
    report.steps = state_.step;
    report.skipped_steps = state_.skipped;
    report.best_epoch = state_.best_epoch;
    if (!state_.best.empty())
      for (std::size_t i = 0; i < stepper_.slots().size(); ++i)
        std::copy(state_.best[i].values().begin(), state_.best[i].values().end(), stepper_.slots()[i].tensor->data());
    if (state_.skipped > 0 && reason != StopReason::non_finite)
      report.warnings.push_back(fmt::format(
          "{} of {} steps had a loss or gradient that is not finite and were skipped", state_.skipped, state_.step));
    finish(report, reason == StopReason::cancelled);
    report.seconds = earlier + seconds_now();
    return report;
  }

 protected:
  Distribution<T>& flow() { return flow_; }
  const std::string& where() const { return where_; }
  const FitOptions<T>& options() const { return options_; }
  Execution& execution() { return execution_; }
  Stepper<T>& stepper() { return stepper_; }
  Index epoch() const { return state_.epoch; }
  bool has_best() const { return !state_.best.empty(); }
  virtual Fingerprint fingerprint() const {
    Fingerprint f{{"scalar", std::string(Component<T>::dtype())},
                  {"model", checksum_of(to_text(flow_.describe()))},
                  {"batch_size", fmt::format("{}", options_.batch_size)},
                  {"learning_rate", fmt::format("{}", options_.learning_rate)},
                  {"schedule", to_text(options_.schedule)},
                  {"warmup_steps", fmt::format("{}", options_.warmup_steps)},
                  {"weight_decay", fmt::format("{}", options_.weight_decay)},
                  {"adam", fmt::format("{} {} {} {}", options_.adam.beta1, options_.adam.beta2, options_.adam.epsilon,
                                       options_.adam.decoupled_decay)},
                  {"clip_norm", fmt::format("{}", options_.clip_norm)},
                  {"seed", fmt::format("{}", options_.seed)}};
    // A longer run is the same run, unless the rates depend on its length.
    if (std::holds_alternative<CosineSchedule>(options_.schedule)) f["epochs"] = fmt::format("{}", options_.epochs);
    return f;
  }

 private:
  virtual Index batches_per_epoch() const = 0;
  virtual Index rows_of(Index batch) const = 0;
  virtual void start_from_data() {}
  virtual void begin_epoch(Index epoch) = 0;
  virtual StepOutcome step(Index batch, const RandomCall& dropout, const typename Stepper<T>::Settings& settings) = 0;
  virtual bool validates() const { return false; }
  /// False if cancelled.
  virtual bool validate(double& loss) {
    static_cast<void>(loss);
    return true;
  }
  virtual void finish(FitReport& report, bool cancelled) = 0;

  Execution& choose_execution() {
    return options_.execution.execution() ? *options_.execution.execution() : own_execution_.emplace();
  }
  void remember_best() {
    const std::vector<Slot<T>>& slots = stepper_.slots();
    if (state_.best.empty())
      for (const Slot<T>& slot : slots) state_.best.push_back(*slot.tensor);
    else
      for (std::size_t i = 0; i < slots.size(); ++i)
        std::copy(slots[i].tensor->values().begin(), slots[i].tensor->values().end(), state_.best[i].data());
  }

  std::string where_;
  Distribution<T>& flow_;
  const FitOptions<T>& options_;
  std::optional<Execution> own_execution_;
  Execution& execution_;
  Stepper<T> stepper_;
  Engine dropout_;
  RunState<T> state_;
  bool saved_ = false;
};

// ------------------------------------------------------------------------------------------------------- fit to data

template <Scalar T>
class DataTraining final : public Training<T> {
 public:
  DataTraining(Distribution<T>& flow, MatrixView<const T> data, const FitOptions<T>& options)
      : Training<T>("fit(" + flow.name() + ")", flow, options),
        rows_(this->where(), flow.dim(), flow.context_dim(), data, options),
        bounds_(batch_bounds(static_cast<Index>(rows_.train().size()), options.batch_size)),
        shuffle_(Engine(options.seed).stream("shuffle")),
        loss_(options.loss ? options.loss : negative_log_likelihood<T>()),
        noise_(rows_.train_noise(0)),
        draws_(Engine(options.seed).stream("draws")) {
    order_.resize(rows_.train().size());
    check_support(data, "data", options.weights);
    check_support(options.validation, "validation", options.validation_weights);
  }

 private:
  Fingerprint fingerprint() const override {
    Fingerprint f = Training<T>::fingerprint();
    const FitOptions<T>& o = this->options();
    f["kind"] = "fit";
    f["training rows"] = fmt::format("{}", rows_.train().size());
    f["validation rows"] = fmt::format("{}", rows_.validation_count());
    f["data checksum"] = fmt::format("{:016x}", rows_.checksum());
    f["validate_every"] = fmt::format("{}", o.validate_every);
    f["min_delta"] = fmt::format("{}", o.min_delta);
    if (o.weighted_statistics) f["weighted_statistics"] = "yes";
    f["statistics"] = o.statistics == EvaluationStatistics::population ? "population" : "running";
    f["dequantize"] = rows_.dequantized() ? "yes" : "no";
    f["loss"] = o.loss ? "of the caller" : "negative log-likelihood";
    return f;
  }

  void check_support(MatrixView<const T> data, const char* what, VectorView<const double> weights) {
    const std::vector<Interval> support = this->flow().support().bounds();
    for (Index i = 0; i < data.rows(); ++i) {
      if (!weights.empty() && weights[i] == 0) continue;
      for (Index c = 0; c < data.cols(); ++c) {
        const Interval& s = support[static_cast<std::size_t>(c)];
        const double v = static_cast<double>(data(i, c));
        if (v < s.low || v > s.high)
          throw DomainError(fmt::format("{}: {} row {}, column {}: {} lies outside the support [{}, {}] of the model",
                                        this->where(), what, i, c, v, s.low, s.high));
      }
    }
  }

  Index batches_per_epoch() const override { return static_cast<Index>(bounds_.size()) - 1; }
  Index rows_of(Index batch) const override {
    const auto b = static_cast<std::size_t>(batch);
    return bounds_[b + 1] - bounds_[b];
  }

  void begin_epoch(Index epoch) override {
    permutation(Engine(shuffle_.seed(), static_cast<std::uint64_t>(epoch)).next_call(), order_);
    for (std::int64_t& position : order_) position = rows_.train()[static_cast<std::size_t>(position)];
    noise_ = rows_.train_noise(epoch);
  }
  RowSource<T> source(const std::int64_t* order) {
    RowSource<T> s = rows_.train_source(order);
    if (rows_.dequantized()) s.noise = &noise_;
    s.weighted_statistics = this->options().weighted_statistics;
    return s;
  }

  // Parts that take their first values from data.
  void start_from_data() override {
    const std::vector<Slot<T>>& slots = this->stepper().slots();
    const bool needed = std::any_of(slots.begin(), slots.end(), [](const Slot<T>& slot) {
      return slot.attributes.from_data || (slot.kind == StateKind::state && slot.path.ends_with("initialized") &&
                                           slot.tensor->size() == 1 && (*slot.tensor)[0] == T(0));
    });
    if (!needed) return;
    constexpr Index enough = 1024;
    begin_epoch(0);
    const RowSource<T> rows = source(order_.data());
    const Index count =
        std::min(static_cast<Index>(order_.size()), std::max(this->options().batch_size, enough));
    Arena batch, local;
    Tape<T> tape(Tape<T>::Mode::evaluate, {batch, local}, count);
    Proposals<T> proposals;
    const RandomCall draws = draws_.stream("start").next_call();
    typename Pass<T>::Settings settings;
    settings.statistics = Statistics::minibatch;
    settings.proposals = &proposals;
    settings.noise = &draws;
    settings.context = rows.load_context(tape, 0);
    settings.row_weights = rows.load_row_weights(tape, 0);
    Pass<T> pass(tape, settings);
    static_cast<void>(this->flow().log_prob(pass, rows.load_data(tape, 0)));
    commit(this->flow(), proposals);
  }

  StepOutcome step(Index batch, const RandomCall& dropout, const typename Stepper<T>::Settings& settings) override {
    const Index first = bounds_[static_cast<std::size_t>(batch)];
    const RowSource<T> rows = source(order_.data());
    const auto number = static_cast<std::uint64_t>(this->epoch() * batches_per_epoch() + batch);
    const RandomCall draws = Engine(draws_.seed(), number).next_call();
    const StepOutcome outcome = this->stepper().step(
        rows_of(batch), settings,
        [&](Tape<T>& tape) {
          typename Pass<T>::Settings s;
          s.statistics = Statistics::minibatch;
          s.noise = &draws;
          s.dropout = &dropout;
          s.context = rows.load_context(tape, first);
          s.row_weights = rows.load_row_weights(tape, first);
          s.checkpoint = this->options().gradient_checkpointing;
          return s;
        },
        [&](Pass<T>& pass) {
          const Column<T> loss = loss_(pass, this->flow(), rows.load_data(pass.tape(), first));
          return rows_.weighted() ? multiply(loss, rows.load_weights(pass.tape(), first)) : loss;
        });
    if (outcome.outside >= 0 && this->epoch() == 0)
      throw DomainError(fmt::format("{}: data row {} lies outside the support of the model{}", this->where(),
                                    rows.row(first + outcome.outside),
                                    rows_.dequantized() ? " after dequantisation" : " (a value on a bound does too)"));
    return outcome;
  }

  bool validates() const override { return rows_.validation_count() > 0; }

  bool make_population_statistics() {
    if (this->options().statistics != EvaluationStatistics::population) return true;
    noise_ = rows_.train_noise(0);
    return calibrate_rows(this->flow(), source(rows_.train().data()), static_cast<Index>(rows_.train().size()),
                          this->execution(), this->options().cancel);
  }

  bool validate(double& loss) override {
    const RandomCall noise = noise_;
    const bool calibrated = make_population_statistics();
    noise_ = noise;
    if (!calibrated) return false;
    const RowSource<T> rows = rows_.validation_source();
    std::vector<double>& losses = losses_;
    losses.resize(static_cast<std::size_t>(rows_.validation_count()));
    if (!evaluate_loss(this->flow(), loss_, rows, losses, this->execution(), this->options().cancel)) return false;
    loss = -mean_log_likelihood(losses, rows.weights, rows.index).mean;
    return true;
  }

  void finish(FitReport& report, bool cancelled) override {
    report.train_rows = static_cast<Index>(rows_.train().size());
    report.validation_rows = rows_.validation_count();
    report.repeated_values = rows_.repeated_values();
    report.warnings.insert(report.warnings.begin(), rows_.warnings().begin(), rows_.warnings().end());
    if (cancelled) return;
    // The best parameters were stored with their statistics.
    if (!this->has_best()) make_population_statistics();
    const Loss<T> nll = negative_log_likelihood<T>();
    noise_ = rows_.train_noise(0);
    const auto judge = [&](const RowSource<T>& rows, Index count, MeanLogLikelihood& result) {
      losses_.resize(static_cast<std::size_t>(count));
      if (evaluate_loss(this->flow(), nll, rows, losses_, this->execution(), this->options().cancel))
        result = mean_log_likelihood(losses_, rows.weights, rows.index);
      else
        losses_.clear();
    };
    judge(source(rows_.train().data()), report.train_rows, report.train);
    if (report.validation_rows > 0) {
      judge(rows_.validation_source(), report.validation_rows, report.validation);
      for (std::size_t i = 0; i < losses_.size(); ++i)
        if (losses_[i] == std::numeric_limits<double>::infinity()) {
          report.warnings.push_back(fmt::format("the model gives density 0 to validation row {}",
                                                rows_.validation_source().row(static_cast<Index>(i))));
          break;
        }
    }
    report.gaussian_baseline = rows_.gaussian_baseline();
    const double mean = report.validation_rows > 0 ? report.validation.mean : report.train.mean;
    report.bits_per_dimension = -mean / (static_cast<double>(this->flow().dim()) * std::numbers::ln2);
    if (this->flow().context_dim() == 0 && mean < report.gaussian_baseline)
      report.warnings.push_back(fmt::format(
          "the model's mean log-likelihood, {:.4f}, is below that of a Gaussian with full covariance, {:.4f}", mean,
          report.gaussian_baseline));
  }

  FitRows<T> rows_;
  std::vector<Index> bounds_;
  Engine shuffle_;
  Loss<T> loss_;
  RandomCall noise_;
  Engine draws_;  // of stochastic densities, a call for each step
  std::vector<std::int64_t> order_;
  std::vector<double> losses_;
};

// ------------------------------------------------------------------------------------------------- fit to a density

template <Scalar T>
class ReverseKlTraining final : public Training<T> {
 public:
  ReverseKlTraining(Distribution<T>& flow, Target<T> target, const FitOptions<T>& options)
      : Training<T>("fit_reverse_kl(" + flow.name() + ")", flow, options),
        loss_(reverse_kl<T>(std::move(target))),
        noise_(Engine(options.seed).stream("noise")) {
    if (!flow.is_reparameterized())
      throw NotImplemented(this->where() + ": the samples of this distribution have no gradient");
    if (options.context.rows() > 1)
      throw ShapeError(this->where() + ": expected one context row, got " + std::to_string(options.context.rows()));
    check_context(this->where(), "context", options.context, 1, flow.context_dim());
  }

 private:
  Fingerprint fingerprint() const override {
    Fingerprint f = Training<T>::fingerprint();
    f["kind"] = "fit_reverse_kl";
    f["steps_per_epoch"] = fmt::format("{}", this->options().steps_per_epoch);
    return f;
  }
  Index batches_per_epoch() const override { return this->options().steps_per_epoch; }
  Index rows_of(Index) const override { return this->options().batch_size; }
  void begin_epoch(Index) override {}
  StepOutcome step(Index batch, const RandomCall& dropout, const typename Stepper<T>::Settings& settings) override {
    const auto number = static_cast<std::uint64_t>(this->epoch() * batches_per_epoch() + batch);
    const RandomCall noise = Engine(noise_.seed(), number).next_call();
    return this->stepper().step(
        rows_of(batch), settings,
        [&](Tape<T>& tape) {
          typename Pass<T>::Settings s;
          s.noise = &noise;
          s.dropout = &dropout;
          s.checkpoint = this->options().gradient_checkpointing;
          if (this->options().context.cols() > 0) s.context = load(tape, this->options().context, false, true);
          return s;
        },
        [&](Pass<T>& pass) { return loss_(pass, this->flow()); });
  }
  void finish(FitReport&, bool) override {}

  std::function<Column<T>(Pass<T>&, const Distribution<T>&)> loss_;
  Engine noise_;
};

}  // namespace

// -------------------------------------------------------------------------------------------------------- public names

template <Scalar T>
FitReport fit(Distribution<T>& flow, std::type_identity_t<MatrixView<const T>> data,
              const std::type_identity_t<FitOptions<T>>& options) {
  return DataTraining<T>(flow, data, options).run();
}

template <Scalar T>
FitReport fit_reverse_kl(Distribution<T>& flow, std::type_identity_t<Target<T>> target,
                         const std::type_identity_t<FitOptions<T>>& options) {
  return ReverseKlTraining<T>(flow, std::move(target), options).run();
}

std::string to_text(const Progress& p) {
  std::string text = fmt::format("epoch {}/{}  loss {:.5g}", p.epoch, p.epochs, p.train_loss);
  if (!std::isnan(p.validation_loss)) text += fmt::format("  validation {:.5g}", p.validation_loss);
  return text + fmt::format("  rate {:.3g}  {:.1f} s, about {:.0f} s left", p.learning_rate, p.seconds, p.seconds_left);
}

std::string to_text(const FitReport& r) {
  std::string text = fmt::format("{}; {} steps ({} skipped) in {:.1f} s on {} rows\n", r.stop_text, r.steps,
                                 r.skipped_steps, r.seconds, r.train_rows);
  if (r.best_epoch >= 0)
    text += fmt::format("best epoch {}, validation loss {:.5g}\n", r.best_epoch + 1,
                        r.validation_loss[static_cast<std::size_t>(r.best_epoch)]);
  const auto line = [&](const char* name, const MeanLogLikelihood& m) {
    if (!std::isnan(m.mean)) text += fmt::format("{}: {:.4f} +- {:.4f} nats per row\n", name, m.mean, m.standard_error);
  };
  line("training log-likelihood", r.train);
  line("validation log-likelihood", r.validation);
  if (!std::isnan(r.gaussian_baseline)) text += fmt::format("Gaussian for comparison: {:.4f}\n", r.gaussian_baseline);
  for (const std::string& warning : r.warnings) text += "warning: " + warning + "\n";
  return text;
}

template FitReport fit(Distribution<float>&, MatrixView<const float>, const FitOptions<float>&);
template FitReport fit(Distribution<double>&, MatrixView<const double>, const FitOptions<double>&);
template FitReport fit_reverse_kl(Distribution<float>&, Target<float>, const FitOptions<float>&);
template FitReport fit_reverse_kl(Distribution<double>&, Target<double>, const FitOptions<double>&);

}  // namespace pushforward
