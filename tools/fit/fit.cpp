#include <functional>
#include <pushforward/training/fit_best.hpp>
#include <pushforward/training/prepare.hpp>
#include <utility>

#include "tools/fit/log.hpp"
#include "tools/fit/result.hpp"
#include "tools/interrupt.hpp"
#include "tools/progress.hpp"

namespace tool::fitting {

namespace {

pf::MeanLogLikelihood summarise(const Eigen::VectorXd& values, const Eigen::VectorXd& weights) {
  RunningMean mean;
  for (Index i = 0; i < values.size(); ++i) mean.add(values[i], weights.size() > 0 ? weights[i] : 1);
  return {mean.mean(), mean.standard_error()};
}

Baseline gaussian_baseline(const Input& in) {
  Baseline b;
  try {
    const auto gaussian = pf::GaussianBaseline::fit(in.train.data, in.train.context, in.train.weights);
    b.of_rows = gaussian.log_prob(in.train.data, in.train.context);
    b.train = summarise(b.of_rows, in.train.weights);
    if (in.validation.size() > 0) {
      b.of_rows = gaussian.log_prob(in.validation.data, in.validation.context);
      b.validation = summarise(b.of_rows, in.validation.weights);
    }
    b.of_rows.array() += log_cell(in);
    for (pf::MeanLogLikelihood* mean : {&b.train, &b.validation}) mean->mean += log_cell(in);
  } catch (const pf::DomainError& error) {
    b.missing = "no Gaussian to compare with: " + in_words_of_the_tool(error.notice(), in);
  }
  return b;
}

/// The values as T: a copy only where they are not that already.
template <pf::Scalar T>
decltype(auto) to(const Eigen::MatrixXd& values) {
  if constexpr (std::is_same_v<T, double>) return (values);
  else return pf::Matrix<T>(values.cast<T>());
}

/// A model and what is known of it; scored in double, as it is used later.
template <pf::Scalar T>
Eigen::VectorXd score(const pf::Distribution<T>& model, const Rows& rows, pf::Execution& execution) {
  Eigen::VectorXd values(rows.size());
  for (Index begin = 0; begin < rows.size(); begin += chunk_rows) {
    const Index n = std::min(chunk_rows, rows.size() - begin);
    const pf::Matrix<T> y = rows.data.middleRows(begin, n).cast<T>();
    const pf::Matrix<T> context = rows.context.middleRows(begin, n).cast<T>();
    model.log_prob_into(y, pf::VectorView<double>(values.data() + begin, n),
                        context.cols() > 0 ? pf::MatrixView<const T>(context) : pf::MatrixView<const T>(), execution);
  }
  return values;
}

/// Rows as a density sees them: those in rounded columns somewhere in their cells.
template <pf::Scalar T>
pf::Matrix<T> smooth(const Settings& s, const Input& in) {
  pf::Engine engine = pf::Engine(s.training.seed).stream("cells");
  return pf::dequantized<T>(to<T>(in.train.data), in.rounded, engine);
}

/// A density as a model of the table.
template <pf::Scalar T>
pf::Poly<pf::Distribution<T>> complete(pf::Poly<pf::Distribution<T>> density, const Input& in) {
  if (in.rounded.empty()) return density;
  return pf::Quantized<T>(std::move(density), in.rounded);
}

template <pf::Scalar T>
pf::Poly<pf::Distribution<T>> fit_gaussian(const Settings& s, const Input& in) {
  using Gaussian = pf::MultivariateNormalTriL<T>;
  const auto fitted = [&](const pf::Matrix<T>& y) { return Gaussian::fit(y, in.train.weights); };
  if (!in.bounded && in.rounded.empty()) return fitted(to<T>(in.train.data));
  const pf::Matrix<T> y = smooth<T>(s, in);
  if (!in.bounded) return complete<T>(fitted(y), in);
  const pf::ColumnSupports<T> supports(in.supports);
  return complete<T>(
      pf::TransformedDistribution<T>(fitted(supports.inverse(y).value), supports), in);
}

/// Fits and returns the model.
template <pf::Scalar T>
pf::Poly<pf::Distribution<T>> fit_flow(const Settings& s, const Input& in, const std::string& checkpoint,
                                       const Interrupt& interrupt, pf::Execution& execution, Result& result) {
  const pf::Matrix<T>& y = to<T>(in.train.data);
  const pf::Matrix<T>& context = to<T>(in.train.context);
  const pf::Matrix<T>& y_validation = to<T>(in.validation.data);
  const pf::Matrix<T>& context_validation = to<T>(in.validation.context);
  ProgressLine line;
  pf::FitOptions<T> options;
  options.epochs = s.training.epochs;
  options.batch_size = s.training.batch_size;
  options.learning_rate = s.training.learning_rate;
  options.weight_decay = s.training.weight_decay;
  options.clip_norm = s.training.clip_norm;
  if (s.schedule == schedules[1]) options.schedule = pf::CosineSchedule{};
  if (s.schedule == schedules[2]) options.schedule = pf::PlateauSchedule{};
  options.validation_fraction = 0;
  options.patience = s.training.patience;
  if (context.cols() > 0) options.context = context;
  if (in.train.weights.size() > 0) options.weights = in.train.weights;
  if (in.validation.size() > 0) {
    options.validation = y_validation;
    if (context.cols() > 0) options.validation_context = context_validation;
    if (in.validation.weights.size() > 0) options.validation_weights = in.validation.weights;
  }
  options.seed = s.training.seed;
  options.execution = execution;
  Log log(s.log, s.training.resume);
  options.callback = [&](const pf::Progress& progress) {
    log.write(progress);
    if (!s.quiet) line.show(progress);
    return true;
  };
  options.cancel = interrupt.token();
  options.checkpoint = checkpoint;
  options.resume = s.training.resume;

  pf::PrepareOptions around;
  around.standardize = *value_of(s.standardize, standardizations);
  around.standardize_context = around.standardize;
  if (in.bounded) around.supports = in.supports;

  // Prepared by rows within their cells, and trained on those of the table.
  pf::FitOptions<T> start = options;
  start.epochs = 0;
  start.callback = {};
  start.checkpoint.clear();
  start.resume = false;
  pf::Poly<pf::Distribution<T>> model =
      complete<T>(pf::prepare_and_fit(pf::flow_preset(s.model).build<T>(y.cols(), flow_options(s, context.cols())),
                                      smooth<T>(s, in), around, start)
                      .model,
                  in);
  result.report = pf::fit(*model, y, options);
  line.clear();
  const auto epochs = static_cast<Index>(result.report.train_loss.size());
  if (result.report.stop_reason == pf::StopReason::cancelled) {
    if (epochs == 0) throw Interrupted("interrupted before the first epoch was over; no model is written");
    result.interrupted = fmt::format("interrupted after {}", counted(epochs, "epoch"));
  }
  if (result.report.stop_reason == pf::StopReason::non_finite && result.report.best_epoch < 0)
    throw pf::Error(result.report.stop_text + "; no model is written; try a smaller --lr or --clip");
  return model;
}

/// What fit_best is told.
template <pf::Scalar T>
pf::Best<T> choose(const Settings& s, const Input& in, const Interrupt& interrupt, pf::Execution& execution) {
  const pf::Matrix<T>& y = to<T>(in.train.data);
  const pf::Matrix<T>& context = to<T>(in.train.context);
  pf::FitBestOptions<T> options;
  const Budget budget = parse_budget(s.budget);
  options.steps = budget.steps;
  options.seconds = budget.seconds;
  options.choose_standardization = !s.has("--standardize");
  options.prepare.standardize = *value_of(s.standardize, standardizations);
  if (s.has("--standardize")) options.prepare.standardize_context = options.prepare.standardize;
  if (in.bounded) options.prepare.supports = in.supports;
  options.rounded = in.rounded;
  options.ensemble = s.ensemble;
  options.folds = s.folds;
  options.base = value_of(s.base, bases);
  options.fit.learning_rate = s.training.learning_rate;
  options.fit.weight_decay = s.training.weight_decay;
  options.fit.clip_norm = s.training.clip_norm;
  options.fit.validation_fraction = s.training.validation_fraction;
  options.fit.seed = s.training.seed;
  options.fit.execution = execution;
  options.fit.cancel = interrupt.token();
  if (context.cols() > 0) options.fit.context = context;
  if (in.train.weights.size() > 0) options.fit.weights = in.train.weights;
  if (!s.json && !s.quiet) {
    const Index steps = budget.steps > 0 ? budget.steps : pf::default_steps(y.rows());
    const std::string share = budget.seconds > 0 ? duration(budget.seconds) : grouped(steps) + " steps";
    fmt::print("candidates   share {}; --budget gives them another number of steps, or a time like 10m\n", share);
    std::fflush(stdout);
  }
  ProgressLine line;
  Log log(s.log, false);
  options.fit.callback = [&log](const pf::Progress& progress) {
    log.keep(progress);
    return true;
  };
  options.callback = [&](const std::string& candidate, Index stage, Index stages) {
    log.write_kept({{"candidate", candidate}, {"stage", stage}, {"stages", stages}});
    if (!s.quiet) line.show(fmt::format("stage {}/{}   {}", stage, stages, candidate));
    return true;
  };
  pf::Best<T> best = pf::fit_best<T>(y, options);
  log.write_kept({{"candidate", best.candidates.front().name}, {"stage", "last"}});
  return best;
}

template <pf::Scalar T>
void run_as(const Settings& s, Input in) {
  const std::string checkpoint = checkpoint_of(s);
  const Baseline baseline = gaussian_baseline(in);
  const Interrupt interrupt;
  pf::Execution execution({.threads = thread_count(s.threads)});
  Result r;
  pf::Poly<pf::Distribution<T>> model;
  try {
    if (s.model == "auto") {
      pf::Best<T> best = choose<T>(s, in, interrupt, execution);
      r.report = std::move(best.report);
      r.candidates = std::move(best.candidates);
      r.reason = std::move(best.reason);
      if (!best.complete) r.interrupted = "interrupted before the race was over";
      model = std::move(best.model);
    } else {
      model = s.model == "gaussian" ? fit_gaussian<T>(s, in) : fit_flow<T>(s, in, checkpoint, interrupt, execution, r);
    }
  } catch (const pf::DomainError& error) {
    throw pf::DomainError(in_words_of_the_tool(error.notice(), in));
  }
  in.info.notes["producer"] = "pushforward " PUSHFORWARD_VERSION;
  in.info.notes["settings"] = settings_text(s);
  in.info.notes["seed"] = std::to_string(s.training.seed);
  in.info.notes["rows"] = fmt::format("{} to train, {} to validate", in.train.size(), in.validation.size());
  if (!r.interrupted.empty()) in.info.notes["interrupted"] = r.interrupted;
  // Before anything else is done with it, for nothing to be lost.
  pf::save(s.out, *model, in.info);
  // The checkpoint that was made on the way is of no more use; one that the user named is the user's.
  if (r.interrupted.empty() && s.checkpoint.empty() && s.training.resume) std::filesystem::remove(checkpoint);

  r.parameters = pf::count_parameters(*model);
  r.precision = std::is_same_v<T, float> ? "float32" : "float64";
  Eigen::VectorXd values = score(*model, in.train, execution);
  r.train = summarise(values, in.train.weights);
  if (in.validation.size() > 0) {
    values = score(*model, in.validation, execution);
    r.validation = summarise(values, in.validation.weights);
  }
  const Rows& judged = in.validation.size() > 0 ? in.validation : in.train;
  for (Index i = 0; i < values.size(); ++i) r.scores.add(values[i], judged.lines[static_cast<std::size_t>(i)]);
  pf::MeanLogLikelihood gain;
  if (baseline.missing.empty())
    gain = summarise(values - baseline.of_rows, in.validation.size() > 0 ? in.validation.weights : in.train.weights);

  std::vector<std::string> warnings;
  for (const pf::Notice& warning : r.report.warnings) warnings.push_back(in_words_of_the_tool(warning, in));
  if (!baseline.missing.empty()) warnings.push_back(baseline.missing);
  if (s.dequantize && in.rounded.empty())
    warnings.push_back("--dequantize: no column has values that repeat on a grid");
  if (r.report.stop_reason == pf::StopReason::non_finite) warnings.push_back(r.report.stop_text);
  for (const std::string& warning : warnings) fmt::print(stderr, "pushforward: warning: {}\n", warning);
  if (s.json) print_json(s, in, r, baseline, gain, warnings);
  else if (!s.quiet) print_text(s, in, r, baseline, gain);
  if (!r.interrupted.empty())
    throw Interrupted(fmt::format("{}; '{}' is the best model so far{}", r.interrupted, s.out,
                                  s.model == "auto"    ? ""
                                  : checkpoint.empty() ? "; with --resume a run can be continued"
                                                       : "; the same command with --resume continues"));
}

}  // namespace

void run(const Settings& s) {
  check(s);
  Input in = read_input(s);
  if (!s.quiet)
    for (const std::string& note : in.notes) fmt::print(stderr, "pushforward: note: {}: {}\n", s.data, note);
  // Of one model double, as it always was; candidates are as good in float, in half the time.
  const bool single = s.precision == "float" || (s.precision.empty() && s.model == "auto" && float_is_enough(in));
  single ? run_as<float>(s, std::move(in)) : run_as<double>(s, std::move(in));
}

}  // namespace tool::fitting
