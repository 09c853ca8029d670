// `fit`: the loop on rows of data.

#include <pushforward/training/fit.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "src/core/number_text.hpp"
#include "src/training/bounded_inputs.hpp"
#include "src/training/loop.hpp"
#include "src/training/population.hpp"
#include "src/training/rows.hpp"
#include "src/training/shuffle.hpp"
#include "src/training/weighted_mean.hpp"

namespace pushforward {

namespace {

using namespace detail;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

MeanLogLikelihood mean_log_likelihood(const std::vector<double>& losses, const double* weights,
                                      const std::int64_t* index) {
  return weighted_mean(
      static_cast<Index>(losses.size()), [&](Index i) { return -losses[static_cast<std::size_t>(i)]; },
      [&](Index i) { return weights ? weights[index[i]] : 1.0; });
}

template <Scalar T>
class DataTraining final : public Training<T> {
 public:
  DataTraining(Distribution<T>& flow, MatrixView<const T> data, const FitOptions<T>& options)
      : Training<T>("fit(" + flow.name() + ")", flow, options),
        rows_(this->where(), flow.support(), flow.context_dim(), data, options),
        bounds_(batch_bounds(static_cast<Index>(rows_.train().size()), options.batch_size)),
        shuffle_(Engine(options.seed).stream("shuffle")),
        loss_noise_(Engine(options.seed).stream("loss")),
        evaluation_noise_(Engine(loss_noise_.seed()).next_call()),
        objective_(options.objective) {
    if (options.loss) objective_.rows = options.loss;
    if (objective_.is_empty()) objective_.rows = negative_log_likelihood<T>();
    if (batches_per_epoch() > 1 && options.optimizer->needs_full_batch())
      throw DomainError(fmt::format("{}: the optimizer {} needs all rows in every step: batch_size must be at least "
                                    "the number of training rows, {}, got {} (with shards it goes in parts)",
                                    this->where(), options.optimizer->describe().type, rows_.train().size(),
                                    options.batch_size));
    if (options.reducer)
      for (Index batch = 0; batch < batches_per_epoch(); ++batch)
        if (rows_of(batch) < options.shards)
          throw DomainError(fmt::format("{}: a batch of {} rows cannot be dealt to {} shards", this->where(),
                                        rows_of(batch), options.shards));
    order_.resize(rows_.train().size());
    check_support(data, "data", options.weights);
    check_support(options.validation, "validation", options.validation_weights);
  }

 private:
  Fingerprint fingerprint() const override {
    const FitOptions<T>& o = this->options();
    Fingerprint f{{"kind", "fit"},
                  {"training rows", fmt::format("{}", rows_.train().size())},
                  {"validation rows", fmt::format("{}", rows_.validation_count())},
                  {"data checksum", fmt::format("{:016x}", rows_.checksum())},
                  {"validate_every", fmt::format("{}", o.validate_every)},
                  {"min_delta", fmt::format("{}", o.min_delta)},
                  {"statistics", o.statistics == EvaluationStatistics::population ? "population" : "running"},
                  {"dequantize", "no"},  // 0.1 could move rows by noise
                  {"loss", o.loss || !o.objective.is_empty() ? "of the caller" : "negative log-likelihood"}};
    if (o.shuffle_block > 1) f["shuffle_block"] = fmt::format("{}", o.shuffle_block);
    if (o.weighted_statistics) f["weighted_statistics"] = "yes";
    if (o.synchronized_statistics) f["synchronized_statistics"] = "yes";
    if (o.objective.batch || o.objective.coupling) f["batch loss"] = "of the caller";
    return f;
  }

  void check_support(MatrixView<const T> data, const char* what, VectorView<const double> weights) {
    const Space support = this->flow().support();
    std::vector<double> row(static_cast<std::size_t>(data.cols()));
    for (Index i = 0; i < data.rows(); ++i) {
      if (!weights.empty() && weights[i] == 0) continue;
      for (Index c = 0; c < data.cols(); ++c) row[static_cast<std::size_t>(c)] = static_cast<double>(data(i, c));
      const std::string misfit = support.misfit(row, "the support", surface_tolerance<T>);
      if (!misfit.empty())
        throw DomainError(Notice{.where = this->where() + ": ",
                                 .set = what,
                                 .row = i,
                                 .problem = fmt::format(", {} of the model", misfit)});
    }
  }

  /// A row of `rows` on a bound, where what is closed for the support is open for the density.
  [[noreturn]] void refuse_outside(const char* set, MatrixView<const T> rows, Index row, const char* of_validation) {
    Notice notice{.where = this->where() + ": ", .set = set, .row = row};
    const Space support = this->flow().support();
    Index column = 0;
    for (const Space::Block& block : support.blocks())
      for (const Interval& bounds : block.bounds) {
        const auto value = static_cast<double>(rows(row, column++));
        if (!notice.columns.empty() || !block.is_open() || (value > bounds.low && value < bounds.high)) continue;
        notice.columns = {column - 1};
        notice.problem = fmt::format("{} is {}, a bound of the support ({}, {}) of the model, where it has no density",
                                     of_validation, number_text(value), number_text(bounds.low),
                                     number_text(bounds.high));
      }
    if (notice.columns.empty())
      notice.problem = fmt::format("{} lies outside the support of the model", of_validation);
    throw DomainError(std::move(notice));
  }
  /// What the steps of the first epoch do for training rows, where the first validation gave an infinite loss.
  void check_validation_rows() {
    losses_.resize(static_cast<std::size_t>(rows_.validation_count()));
    const RowSource<T> rows = rows_.validation_source();
    const Loss<T> marks = [](Pass<T>& pass, const Distribution<T>& flow, Var<T> y) {
      static_cast<void>(flow.log_prob(pass, y));
      return Column<T>();
    };
    if (!evaluate_loss(this->flow(), marks, rows, losses_, this->execution(), this->cancel(), evaluation_noise_)) return;
    for (std::size_t i = 0; i < losses_.size(); ++i)
      if (losses_[i] > 0) {
        const bool separate = this->options().validation.rows() > 0;
        refuse_outside(separate ? "validation" : "data", rows.data, rows.row(static_cast<Index>(i)),
                       separate ? "" : ", set aside for validation,");
      }
  }

  Index batches_per_epoch() const override { return static_cast<Index>(bounds_.size()) - 1; }
  Index rows_of(Index batch) const override {
    const auto b = static_cast<std::size_t>(batch);
    return bounds_[b + 1] - bounds_[b];
  }

  void begin_epoch(Index epoch) override {
    if (const Index block = this->options().shuffle_block; block > 1)
      shuffle_blocks(shuffle_.stream(fmt::format("epoch {}", epoch)), block, order_);
    else
      permutation(Engine(shuffle_.seed(), static_cast<std::uint64_t>(epoch)).next_call(), order_);
    for (std::int64_t& position : order_) position = rows_.train()[static_cast<std::size_t>(position)];
  }
  RowSource<T> source(const std::int64_t* order) {
    RowSource<T> s = rows_.train_source(order);
    s.weighted_statistics = this->options().weighted_statistics;
    return s;
  }

  /// One evaluation of some training rows together, before the first step: f(tape, y, settings) adds what it wants of
  /// it.
  template <class F>
  void evaluate_at_start(Index count, F f) {
    begin_epoch(0);
    const RowSource<T> rows = source(order_.data());
    Arena batch, local;
    Tape<T> tape(Tape<T>::Mode::evaluate, {batch, local}, std::min(static_cast<Index>(order_.size()), count));
    const RandomCall draws = loss_noise_.stream("start").next_call();
    typename Pass<T>::Settings settings;
    settings.statistics = Statistics::minibatch;
    settings.noise = &draws;
    settings.context = rows.load_context(tape, 0);
    settings.row_weights = rows.load_row_weights(tape, 0);
    f(tape, rows.load_data(tape, 0), settings);
  }

  // Parts that take their first values from data.
  void start_from_data() override {
    const std::vector<Slot<T>>& slots = this->stepper().slots();
    const bool needed =
        std::any_of(slots.begin(), slots.end(), [](const Slot<T>& slot) { return slot.attributes.from_data; });
    if (!needed) return;
    constexpr Index enough = 1024;
    Proposals<T> proposals;
    evaluate_at_start(std::max(this->options().batch_size, enough),
                      [&](Tape<T>& tape, Var<T> y, typename Pass<T>::Settings settings) {
                        settings.proposals = &proposals;
                        settings.starts = true;
                        Pass<T> pass(tape, settings);
                        static_cast<void>(this->flow().log_prob(pass, y));
                      });
    commit_as(this->where(), this->flow(), proposals);
  }

  // A row alone has no variance, and what it would teach the averages is wrong for ever.
  void refuse_single_rows() {
    Index fewest = rows_of(0);
    for (Index batch = 1; batch < static_cast<Index>(bounds_.size()) - 1; ++batch) fewest = std::min(fewest, rows_of(batch));
    if (fewest >= 2 * this->options().shards) return;
    Proposals<T> proposals;
    evaluate_at_start(1, [&](Tape<T>& tape, Var<T> y, typename Pass<T>::Settings settings) {
      settings.proposals = &proposals;
      Pass<T> pass(tape, settings);
      static_cast<void>(this->flow().log_prob(pass, y));
    });
    const bool last = this->options().batch_size >= 2 * this->options().shards;
    if (!proposals.values.empty())
      throw DomainError(Notice{.where = this->where() + ": ",
                               .problem = "a batch of one row has no statistics for batch normalisation",
                               .option = last ? "" : "batch_size",
                               .way_out = last ? "; the last one has what is left of the rows: batches of another size "
                                                 "leave more, or none"
                                               : "; batch_size must be at least 2 for each shard"});
  }

  void started() override {
    refuse_single_rows();
    evaluate_at_start(BoundedInputs<T>::enough,
                      [&](Tape<T>& tape, Var<T> y, const typename Pass<T>::Settings& settings) {
                        blind_ = BoundedInputs<T>(tape, y, settings).warning(this->flow());
                      });
  }

  StepOutcome step(Index batch, const RandomCall& dropout, const typename Stepper<T>::Settings& settings) override {
    const Index first = bounds_[static_cast<std::size_t>(batch)];
    const RowSource<T> rows = source(order_.data());
    const RandomCall noise = Engine(loss_noise_.seed(), static_cast<std::uint64_t>(this->steps()) + 1).next_call();
    // A batch in one piece has the columns and what couples them on one tape.
    typename Stepper<T>::Coupled in_shards;
    if (objective_.coupling && this->options().shards > 1)
      in_shards = {[&](Pass<T>& pass, Index of_batch) {
                     return objective_.columns(pass, this->flow(), rows.load_data(pass.tape(), first + of_batch));
                   },
                   objective_.coupling};
    const StepOutcome outcome = this->stepper().step(
        rows_of(batch), settings,
        [&](Tape<T>& tape, Index of_batch) {
          typename Pass<T>::Settings s;
          s.statistics = Statistics::minibatch;
          s.noise = &noise;
          s.dropout = &dropout;
          s.context = rows.load_context(tape, first + of_batch);
          s.row_weights = rows.load_row_weights(tape, first + of_batch);
          if (this->options().synchronized_statistics) s.processes = this->options().reducer;
          s.checkpoint = this->options().gradient_checkpointing;
          return s;
        },
        [&](Pass<T>& pass, Index of_batch) {
          const Var<T> y = rows.load_data(pass.tape(), first + of_batch);
          Column<T> loss;
          // The columns come first, here as of a batch in shards, so that they draw the same random numbers.
          std::vector<Column<T>> columns;
          const bool couples = objective_.coupling && !in_shards.coupling;
          if (couples) columns = some_columns(pass.tape(), objective_.columns(pass, this->flow(), y));
          if (objective_.rows) {
            loss = objective_.rows(pass, this->flow(), y);
            if (!by_likelihood()) loss = some_column(this->options().loss ? "loss" : "objective.rows", loss);
            if (rows_.weighted()) loss = multiply(loss, rows.load_weights(pass.tape(), first + of_batch));
          }
          if (couples) loss = loss + one_number("coupling", pass.tape(), objective_.coupling(columns));
          if (!objective_.batch) return loss;
          return loss + one_number("batch", pass.tape(), objective_.batch(pass, this->flow(), y));
        },
        in_shards);
    if (outcome.outside >= 0 && this->epoch() == 0) refuse_outside("data", rows.data, rows.row(first + outcome.outside), "");
    return outcome;
  }

  bool validates() const override { return rows_.validation_count() > 0; }

  bool make_population_statistics() {
    if (this->options().statistics != EvaluationStatistics::population) return true;
    statistics_problem_.clear();
    try {
      return calibrate_rows(this->where(), this->flow(), source(rows_.train().data()),
                            static_cast<Index>(rows_.train().size()), this->execution(), this->cancel());
    } catch (const DomainError& error) {
      // Steps can lead where the statistics are not finite: then the fit ends with what was kept.
      if (this->steps() == 0) throw;
      statistics_problem_ = error.what();
      return true;
    }
  }

  /// Of all rows of a source; what each has from `objective.rows` is in `losses_`. Nothing if cancelled.
  std::optional<double> loss_of(const RowSource<T>& rows, Index count) {
    const StopToken cancel = this->cancel();
    double loss = 0;
    losses_.clear();
    if (objective_.rows) {
      losses_.resize(static_cast<std::size_t>(count));
      if (!evaluate_loss(this->flow(), objective_.rows, rows, losses_, this->execution(), cancel, evaluation_noise_))
        return std::nullopt;
      loss = -mean_log_likelihood(losses_, rows.weights, rows.index).mean;
    }
    if (objective_.batch || objective_.coupling) {
      const std::vector<Index> bounds = batch_bounds(count, this->options().batch_size);
      const std::optional<double> term =
          evaluate_batch_loss(this->flow(), objective_, rows, bounds, this->options().shards, this->execution(), cancel,
                              evaluation_noise_);
      if (!term) return std::nullopt;
      loss += *term;
    }
    return loss;
  }

  std::optional<typename Training<T>::Validation> validate() override {
    if (!make_population_statistics()) return std::nullopt;
    if (!statistics_problem_.empty()) return typename Training<T>::Validation{nan, nan};
    const std::optional<double> of_rows = loss_of(rows_.validation_source(), rows_.validation_count());
    if (!of_rows) return std::nullopt;
    const double loss = *of_rows;
    if (!this->has_validated() && loss == std::numeric_limits<double>::infinity()) check_validation_rows();
    const double judged = std::isfinite(loss) ? loss - excess(rows_.validation_source()) : loss;
    return typename Training<T>::Validation{loss, judged};
  }

  /// What rows add to the mean of `losses_` above ten interquartile ranges over the median: one far row says little of
  /// the others, and much of what it says is chance.
  double excess(const RowSource<T>& rows) const {
    std::vector<double> sorted = losses_;
    if (sorted.size() < 4) return 0;
    const auto quantile = [&](double p) {
      const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(p * static_cast<double>(sorted.size() - 1));
      std::nth_element(sorted.begin(), at, sorted.end());
      return *at;
    };
    const double low = quantile(0.25), middle = quantile(0.5), high = quantile(0.75);
    const double most = high > low ? middle + 10 * (high - low) : std::numeric_limits<double>::infinity();
    double sum = 0, total = 0;
    for (std::size_t i = 0; i < losses_.size(); ++i) {
      const double weight = rows.weights ? rows.weights[rows.row(static_cast<Index>(i))] : 1.0;
      sum += weight * std::max(0.0, losses_[i] - most);
      total += weight;
    }
    return sum / total;
  }

  void finish(FitReport& report, bool cancelled) override {
    report.train_rows = static_cast<Index>(rows_.train().size());
    report.validation_rows = rows_.validation_count();
    report.repeated_values = rows_.repeated_values();
    report.warnings.insert(report.warnings.begin(), rows_.warnings().begin(), rows_.warnings().end());
    if (blind_) report.warnings.push_back(*blind_);
    if (cancelled) return;
    // The best parameters were stored with their statistics.
    if (!this->has_best()) make_population_statistics();
    if (!statistics_problem_.empty()) report.warnings.push_back({.problem = statistics_problem_});
    const Loss<T> nll = negative_log_likelihood<T>();
    const auto judge = [&](const RowSource<T>& rows, Index count, MeanLogLikelihood& result) {
      losses_.resize(static_cast<std::size_t>(count));
      if (evaluate_loss(this->flow(), nll, rows, losses_, this->execution(), this->cancel(), evaluation_noise_))
        result = mean_log_likelihood(losses_, rows.weights, rows.index);
      else
        losses_.clear();
    };
    judge(source(rows_.train().data()), report.train_rows, report.train);
    if (report.validation_rows > 0) {
      judge(rows_.validation_source(), report.validation_rows, report.validation);
      for (std::size_t i = 0; i < losses_.size(); ++i)
        if (losses_[i] == std::numeric_limits<double>::infinity()) {
          report.warnings.push_back(
              {.problem = fmt::format("the model gives density 0 to validation row {}",
                                      rows_.validation_source().row(static_cast<Index>(i)))});
          break;
        }
    }
    report.gaussian_baseline = rows_.gaussian_baseline();
    const double mean = report.validation_rows > 0 ? report.validation.mean : report.train.mean;
    report.bits_per_dimension = -mean / (static_cast<double>(this->flow().dim()) * std::numbers::ln2);
    const auto shown = [](double v) { return std::abs(v) < 1e6 ? fmt::format("{:.4f}", v) : fmt::format("{:.4g}", v); };
    if (mean < report.gaussian_baseline)
      report.warnings.push_back({.problem = fmt::format("the model's mean log-likelihood, {}, is below that of a "
                                                        "Gaussian with full covariance, {}",
                                                        shown(mean), shown(report.gaussian_baseline))});
  }

  /// Then a loss may be 0 in every row: the density is 1.
  bool by_likelihood() const { return !this->options().loss && this->options().objective.is_empty(); }

  bool ends_well() override {
    // `finish` has left the rows' losses.
    std::optional<double> loss = 0;
    if (!by_likelihood()) loss = loss_of(source(rows_.train().data()), static_cast<Index>(rows_.train().size()));
    if (this->cancel().stop_requested() || !loss) return true;
    if (!statistics_problem_.empty()) return false;
    // A row of density 0 alone is a finding about that row.
    return losses_.empty() ? std::isfinite(*loss) : are_numbers(losses_) && !std::isnan(*loss);
  }

  FitRows<T> rows_;
  std::vector<Index> bounds_;
  Engine shuffle_, loss_noise_;
  RandomCall evaluation_noise_;  // the same in every epoch
  Objective<T> objective_;
  std::vector<std::int64_t> order_;
  std::vector<double> losses_;
  std::optional<Notice> blind_;
  std::string statistics_problem_;  // why there are none that are finite
};

}  // namespace

template <Scalar T>
FitReport fit(Distribution<T>& flow, std::type_identity_t<MatrixView<const T>> data,
              const std::type_identity_t<FitOptions<T>>& options) {
  return DataTraining<T>(flow, data, options).run();
}

template FitReport fit(Distribution<float>&, MatrixView<const float>, const FitOptions<float>&);
template FitReport fit(Distribution<double>&, MatrixView<const double>, const FitOptions<double>&);

}  // namespace pushforward
