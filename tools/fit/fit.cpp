#include <functional>
#include <pushforward/bijectors/bijector_to.hpp>
#include <pushforward/training/fit_best.hpp>
#include <pushforward/training/prepare.hpp>
#include <unistd.h>
#include <utility>

#include "tools/fit/log.hpp"
#include "tools/fit/ranks.hpp"
#include "tools/fit/result.hpp"
#include "tools/interrupt.hpp"
#include "tools/progress.hpp"

namespace tool::fitting {

namespace {

/// A Gaussian of the rows that train, linear in their context; `missing` says why there is none.
std::optional<pf::GaussianBaseline> gaussian_of(const Input& in, std::string& missing) {
  if (in.support.dimensions() < in.dim()) return {};  // none has a density on a surface
  try {
    return pf::GaussianBaseline::fit(in.dim(), in.context_dim(), [&](const auto& f) {
      std::vector<double> row(static_cast<std::size_t>(in.rows.cols()));
      in.rows.visit([&](auto rows) {
        for (Index i = 0; i < in.train.size(); ++i) {
          for (Index c = 0; c < rows.cols(); ++c) row[static_cast<std::size_t>(c)] = static_cast<double>(rows(in.train[i], c));
          f(row.data(), in.weight(in.train[i]));
        }
      });
    });
  } catch (const pf::DomainError& error) {
    missing = "no Gaussian to compare with: " + in_words_of_the_tool(error.notice(), in);
    return {};
  }
}

/// What both say of these rows, in pieces.
template <pf::Scalar T>
Judgement judge(const pf::Distribution<T>& model, const std::optional<pf::GaussianBaseline>& gaussian, const Input& in,
                const Part& part, pf::Execution& execution, Scores* scores) {
  RunningMean own, other, gain;
  const double cell = log_cell(in);
  const pf::MatrixView<const T> all = in.rows.view<T>();
  pf::Matrix<T> rows;
  Eigen::VectorXd values;
  for (Index begin = 0; begin < part.size(); begin += chunk_rows) {
    const Index n = std::min(chunk_rows, part.size() - begin);
    rows.resize(n, in.rows.cols());
    for (Index c = 0; c < rows.cols(); ++c)
      for (Index i = 0; i < n; ++i) rows(i, c) = all(part[begin + i], c);
    const pf::MatrixView<const T> y = columns_of(pf::MatrixView<const T>(rows), 0, in.dim());
    const pf::MatrixView<const T> context = columns_of(pf::MatrixView<const T>(rows), in.dim(), in.context_dim());
    values.resize(n);
    model.log_prob_into(y, values, in.context_dim() > 0 ? context : pf::MatrixView<const T>(), execution);
    Eigen::VectorXd of_gaussian = Eigen::VectorXd::Zero(n);
    if (gaussian) {
      const Eigen::MatrixXd doubles = rows.template cast<double>();
      of_gaussian = gaussian->log_prob(doubles.leftCols(in.dim()), doubles.rightCols(in.context_dim()));
    }
    for (Index i = 0; i < n; ++i) {
      const double weight = in.weight(part[begin + i]);
      own.add(values[i], weight);
      if (gaussian) {
        other.add(of_gaussian[i] + cell, weight);
        gain.add(values[i] - of_gaussian[i] - cell, weight);
      }
      if (scores != nullptr) scores->add(values[i], in.lines[part[begin + i]]);
    }
  }
  const auto mean = [](const RunningMean& m) { return pf::MeanLogLikelihood{m.mean(), m.standard_error()}; };
  if (!gaussian) return {.model = mean(own)};
  return {mean(own), mean(other), mean(gain)};
}

/// Rows as a density sees them: those in rounded columns somewhere in their cells. A copy only where there are such.
template <pf::Scalar T>
class SmoothRows {
 public:
  SmoothRows(const Settings& s, const Input& in) : view_(in.data<T>()) {
    if (in.rounded.empty()) return;
    pf::Engine engine = pf::Engine(s.training.seed).stream("cells");
    moved_ = pf::dequantized<T>(view_, in.rounded, engine);
    view_ = moved_;
  }
  SmoothRows(const SmoothRows&) = delete;
  SmoothRows& operator=(const SmoothRows&) = delete;
  pf::MatrixView<const T> view() const { return view_; }

 private:
  pf::Matrix<T> moved_;
  pf::MatrixView<const T> view_;
};

/// A density as a model of the table.
template <pf::Scalar T>
pf::Poly<pf::Distribution<T>> complete(pf::Poly<pf::Distribution<T>> density, const Input& in) {
  if (in.rounded.empty()) return density;
  return pf::Quantized<T>(std::move(density), in.rounded);
}

template <pf::Scalar T>
pf::Poly<pf::Distribution<T>> fit_gaussian(const Settings& s, const Input& in) {
  // Rows that validate weigh nothing.
  Eigen::VectorXd weights;
  if (!in.train.rows.empty()) {
    weights = Eigen::VectorXd::Zero(in.rows.rows());
    for (Index i = 0; i < in.train.size(); ++i) weights[in.train[i]] = in.weight(in.train[i]);
  }
  const auto fitted = [&](pf::MatrixView<const T> y) { return pf::MultivariateNormalTriL<T>::fit(y, weights); };
  const SmoothRows<T> rows(s, in);
  if (!in.bounded()) return complete<T>(fitted(rows.view()), in);
  const pf::Poly<pf::Bijector<T>> map = pf::bijector_to<T>(in.support, rows.view());
  return complete<T>(pf::TransformedDistribution<T>(fitted(map->inverse(rows.view()).value), map), in);
}

/// Fits and returns the model.
template <pf::Scalar T>
pf::Poly<pf::Distribution<T>> fit_flow(const Settings& s, const Input& in, const std::string& checkpoint,
                                       const Interrupt& interrupt, pf::Execution& execution, const Ranks& ranks,
                                       Result& result) {
  const pf::MatrixView<const T> y = in.data<T>(), context = in.context<T>();
  ProgressLine line;
  pf::FitOptions<T> options;
  options.epochs = s.training.epochs;
  options.batch_size = s.training.batch_size;
  options.learning_rate = s.training.learning_rate;
  options.weight_decay = s.training.weight_decay;
  options.clip_norm = s.training.clip_norm;
  if (s.schedule == schedules[1]) options.schedule = pf::CosineSchedule{};
  if (s.schedule == schedules[2]) options.schedule = pf::PlateauSchedule{};
  options.validation_fraction = s.training.validation_fraction;
  options.patience = s.training.patience;
  options.context = context;
  options.weights = in.weights;
  options.seed = s.training.seed;
  options.shuffle_block = in.rows.shuffle_block();
  options.execution = execution;
  options.reducer = ranks.reducer();
  options.shards = s.shards > 0 ? s.shards : ranks.size();
  options.synchronized_statistics = s.training.synchronized_statistics;
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
  if (in.bounded()) around.support = in.support;

  // Prepared by rows within their cells, and trained on those of the table.
  pf::FitOptions<T> start = options;
  start.epochs = 0;
  start.callback = {};
  start.checkpoint.clear();
  start.resume = false;
  pf::Poly<pf::Distribution<T>> model =
      complete<T>(pf::prepare_and_fit(pf::flow_preset(s.model).build<T>(in.support.dimensions(), flow_options(s, context.cols())),
                                      SmoothRows<T>(s, in).view(), around, start)
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
  const pf::MatrixView<const T> y = in.data<T>();
  pf::FitBestOptions<T> options;
  const Budget budget = parse_budget(s.budget);
  options.steps = budget.steps;
  options.seconds = budget.seconds;
  options.choose_standardization = !s.has("--standardize");
  options.prepare.standardize = *value_of(s.standardize, standardizations);
  if (s.has("--standardize")) options.prepare.standardize_context = options.prepare.standardize;
  if (in.bounded()) options.prepare.support = in.support;
  options.rounded = in.rounded;
  options.ensemble = s.ensemble;
  options.folds = s.folds;
  if (s.model == "auto") {
    options.base = value_of(s.base, bases);
  } else if (is_flow(s)) {
    options.candidates = {pf::flow_candidate<T>(s.model, s.model, flow_options(s, in.context_dim()))};
  } else {
    options.candidates = pf::default_candidates<T>(in.train.size(), in.support.dimensions());
    std::erase_if(options.candidates, [&](const pf::Candidate<T>& c) { return c.name != s.model; });
  }
  options.fit.learning_rate = s.training.learning_rate;
  options.fit.weight_decay = s.training.weight_decay;
  options.fit.clip_norm = s.training.clip_norm;
  options.fit.validation_fraction = s.training.validation_fraction;
  options.fit.seed = s.training.seed;
  options.fit.shuffle_block = in.rows.shuffle_block();
  options.fit.execution = execution;
  options.fit.cancel = interrupt.token();
  options.fit.context = in.context<T>();
  options.fit.weights = in.weights;
  if (!s.json && !s.quiet && s.model == "auto") {
    const Index steps = budget.steps > 0 ? budget.steps : pf::default_steps(y.rows(), in.support.dimensions());
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
  pf::Best<T> best;
  try {
    best = pf::fit_best<T>(y, options);
  } catch (const pf::DomainError&) {
    if (!interrupt.token().stop_requested()) throw;
    throw Interrupted("interrupted before a candidate was fitted; no model is written");
  }
  log.write_kept({{"candidate", best.candidates.front().name}, {"stage", "last"}});
  return best;
}

/// Where the file cannot be written any more (the disk is full), among temporary files; an error all the same.
template <pf::Scalar T>
void save_somewhere(const std::string& out, const pf::Distribution<T>& model, const pf::ModelInfo& info) {
  try {
    pf::save(out, model, info);
  } catch (const pf::IoError& error) {
    std::error_code unknown;
    const std::filesystem::path folder = std::filesystem::temp_directory_path(unknown);
    if (unknown) throw;
    const std::filesystem::path second =
        folder / fmt::format("pushforward-{}-{}", getpid(), std::filesystem::path(out).filename().string());
    try {
      pf::save(second, model, info);
    } catch (const pf::IoError&) {
      throw error;
    }
    throw pf::IoError(fmt::format("{}; the model lies in '{}' instead", error.what(), second.string()));
  }
}

template <pf::Scalar T>
void run_as(const Settings& s, Input in, const Ranks& ranks) {
  const std::string checkpoint = checkpoint_of(s);
  Result r;
  const std::optional<pf::GaussianBaseline> gaussian = gaussian_of(in, r.no_gaussian);
  in.rows.become<T>();
  const Interrupt interrupt;
  pf::Execution execution({.threads = thread_count(s.threads > 0 ? s.threads : ranks.threads())});
  pf::Poly<pf::Distribution<T>> model;
  try {
    if (races(s)) {
      pf::Best<T> best = choose<T>(s, in, interrupt, execution);
      r.report = std::move(best.report);
      r.candidates = std::move(best.candidates);
      r.reason = std::move(best.reason);
      if (!best.complete) r.interrupted = "interrupted before the race was over";
      model = std::move(best.model);
    } else {
      model = s.model == "gaussian" ? fit_gaussian<T>(s, in) : fit_flow<T>(s, in, checkpoint, interrupt, execution, ranks, r);
    }
  } catch (const pf::DomainError& error) {
    throw pf::DomainError(in_words_of_the_tool(error.notice(), in));
  }
  if (!ranks.is_first()) {
    if (!r.interrupted.empty()) throw Interrupted(r.interrupted);
    return;
  }
  in.info.notes["producer"] = "pushforward " PUSHFORWARD_VERSION;
  in.info.notes["settings"] = settings_text(s);
  in.info.notes["seed"] = std::to_string(s.training.seed);
  in.info.notes["rows"] = fmt::format("{} to train, {} to validate", in.train.size(), in.validation.size());
  if (!r.interrupted.empty()) in.info.notes["interrupted"] = r.interrupted;
  // Before anything else is done with it, for nothing to be lost.
  save_somewhere(s.out, *model, in.info);
  // The checkpoint that was made on the way is of no more use; one that the user named is the user's.
  if (r.interrupted.empty() && s.checkpoint.empty() && s.training.resume) std::filesystem::remove(checkpoint);

  r.parameters = pf::count_parameters(*model);
  r.precision = std::is_same_v<T, float> ? "float32" : "float64";
  const bool validates = in.validation.size() > 0;
  r.train = judge(*model, gaussian, in, in.train, execution, validates ? nullptr : &r.scores);
  if (validates) r.validation = judge(*model, gaussian, in, in.validation, execution, &r.scores);

  std::vector<std::string> warnings;
  for (const pf::Notice& warning : r.report.warnings) warnings.push_back(in_words_of_the_tool(warning, in));
  if (is_flow(s) && !races(s) && in.validation.size() < few_validation_rows)
    warnings.push_back(
        fmt::format("{} to validate: nothing tells how good the model is on others{}",
                    in.validation.size() == 0 ? "no row is left" : "only " + counted(in.validation.size(), "row"),
                    in.train.size() + in.validation.size() < 4 ? "" : "; --folds judges by all of them"));
  if (is_flow(s) && in.dim() == 1 && pf::flow_preset(s.model).affine)
    warnings.push_back(fmt::format("{} is affine, and of one column no more than a Gaussian{}; nsf_ar bends it, and --model "
                                   "auto chooses",
                                   s.model, in.context_dim() > 0 ? " of each context" : ""));
  if (!r.no_gaussian.empty()) warnings.push_back(r.no_gaussian);
  if (s.dequantize && in.rounded.empty())
    warnings.push_back("--dequantize: no column has values that repeat on a grid");
  if (r.report.stop_reason == pf::StopReason::non_finite) warnings.push_back(r.report.stop_text);
  for (const std::string& warning : warnings) fmt::print(stderr, "pushforward: warning: {}\n", warning);
  if (s.json) print_json(s, in, r, warnings);
  else if (!s.quiet) print_text(s, in, r);
  // No number of epochs explains so much.
  const pf::MeanLogLikelihood& gain = gain_of(in, r);
  if (is_flow(s) && !races(s) && r.interrupted.empty() && gain.mean < -100)
    throw pf::Error(fmt::format("the model in '{}' is {:.3g} nats worse than a Gaussian: the training went astray; try a "
                                "smaller --lr or --clip, or --model auto",
                                s.out, -gain.mean));
  if (!r.interrupted.empty())
    throw Interrupted(fmt::format("{}; '{}' is the best model so far{}", r.interrupted, s.out,
                                  races(s)             ? ""
                                  : checkpoint.empty() ? "; with --resume a run can be continued"
                                                       : "; the same command with --resume continues"));
}

}  // namespace

void run(const Settings& given) {
  const Ranks ranks;
  Settings s = given;
  if (!ranks.is_first()) s.quiet = true, s.json = false, s.log.clear();
  ranks.run([&] {
    check(s);
    if (ranks.size() > 1 && (races(s) || !is_flow(s)))
      throw UsageError(fmt::format("mpirun started {} of these, which train one flow together: name it with --model (without "
                                   "--folds, --budget and --ensemble)",
                                   ranks.size()));
    Input in = read_input(s);
    if (!s.quiet)
      for (const std::string& note : in.notes) fmt::print(stderr, "pushforward: note: {}: {}\n", s.data, note);
    // Of one model double, as it always was; candidates are as good in float, in half the time.
    const bool single = s.precision == "float" || (s.precision.empty() && races(s) && float_is_enough(in));
    if (s.precision == "float" && !in.rows.is_float()) refuse_float(s, in);
    single ? run_as<float>(s, std::move(in), ranks) : run_as<double>(s, std::move(in), ranks);
  });
}

}  // namespace tool::fitting
