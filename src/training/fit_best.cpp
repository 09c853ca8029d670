#include <pushforward/training/fit_best.hpp>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <exception>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include <pushforward/bijectors/whiten.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/quantized.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>

#include "src/training/folds.hpp"
#include "src/training/heavy_tails.hpp"
#include "src/training/rows.hpp"
#include "src/training/weighted_mean.hpp"

namespace pushforward {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
// Where a score takes the mean over many points of a cell: fewer of them in the race.
constexpr Index race_points = 4;

/// A log-likelihood for each row that is judged, and what it counts.
struct Scores {
  std::vector<double> values;
  MeanLogLikelihood summary(const std::vector<double>& weights) const {
    return detail::weighted_mean(
        static_cast<Index>(values.size()), [&](Index i) { return values[static_cast<std::size_t>(i)]; },
        [&](Index i) { return weights.empty() ? 1.0 : weights[static_cast<std::size_t>(i)]; });
  }
};

template <Scalar T>
class Race {
 public:
  Race(MatrixView<const T> data, const FitBestOptions<T>& options) : data_(data), options_(options) {
    if (options.steps < 0 || !(options.seconds >= 0) || !std::isfinite(options.seconds) || options.folds < 0)
      throw DomainError(fmt::format("fit_best: steps, seconds and folds must be at least 0, got {}, {:g} and {}",
                                    options.steps, options.seconds, options.folds));
    if (options.ensemble < 1)
      throw DomainError(fmt::format("fit_best: an ensemble has at least one member, got {}", options.ensemble));
    if (options.steps > 0 && options.seconds > 0)
      throw DomainError("fit_best: give steps or seconds, not both");
    if (options.base == Base::logistic)
      throw DomainError("fit_best: base must be normal or student_t; with another one give candidates of your own");
    prepare_ = options.prepare;
    rounded_ = options.rounded ? *options.rounded : grids_in(prepare_.support);
    prepare_.support = cell_support(data, rounded_, prepare_.support);
    dim_ = prepare_.support.columns() > 0 ? prepare_.support.dimensions() : data.cols();
    folds_.emplace(data, options, rounded_);
    look_at_tails();
    candidates_ = options.candidates;
    if (candidates_.empty())
      candidates_ = default_candidates<T>(folds_->rows() - (folds_->size() > 1 ? folds_->rows() / folds_->size() : 0),
                                          dim_, options.fit.context.cols());
  }

  Best<T> run() {
    start();
    std::vector<Runner*> racing;
    for (Runner& r : runners_)
      if (r.candidate->trains && !r.problem) racing.push_back(&r);
    Index stages = 1;
    for (std::size_t left = racing.size(); left > 2; left = (left + 1) / 2) ++stages;
    for (Index stage = 1; stage <= stages && !racing.empty() && !cancelled_; ++stage) {
      const double share = stages == 1 ? 1 : stage == stages ? 0.7 : 0.3 / static_cast<double>(stages - 1);
      for (Runner* r : racing) {
        if (cancelled_) break;
        advance(*r, share / static_cast<double>(racing.size()), stage, stages);
      }
      std::erase_if(racing, [](const Runner* r) { return r->problem != nullptr; });
      std::stable_sort(racing.begin(), racing.end(), [](auto* a, auto* b) { return a->mean > b->mean; });
      if (stage < stages) racing.resize((racing.size() + 1) / 2);
      // The last stage is for two only if the second one may still win.
      if (stage + 1 == stages && racing.size() == 2 && far_behind(*racing[1], *racing[0])) racing.resize(1);
    }
    return finish();
  }

 private:
  using Fold = detail::Fold<T>;

  struct Runner {
    const Candidate<T>* candidate;
    std::vector<Poly<Distribution<T>>> models = {};  // of the folds
    std::vector<Scores> scores = {};
    std::vector<Index> best_steps = {};
    std::exception_ptr problem = {};
    double mean = 0;  // of its scores; -inf if it is not a number
    CandidateReport report = {};
    FitReport last = {};
  };

  std::vector<GridColumn> grids_in(const Space& support) const {
    std::vector<GridColumn> grids = find_grids<T>(data_);
    if (support.columns() != data_.cols()) return grids;
    const std::vector<bool> free = each_by_itself(support);
    std::erase_if(grids, [&](const GridColumn& g) { return !free[static_cast<std::size_t>(g.column)]; });
    return grids;
  }

  void look_at_tails() {
    const Fold& fold = (*folds_)[0];
    PrepareOptions robust = prepare_;
    robust.standardize = Standardization::median_iqr;
    robust.whiten = false;
    const Matrix<T> rows = around(fold, robust).bijector().inverse(fold.smooth).value;
    const detail::Tails tails = detail::tails_of<T>(rows, fold.weights);
    if (options_.choose_standardization)
      prepare_.standardize = tails.heavy ? Standardization::median_iqr : Standardization::mean_std;
    if (options_.base.value_or(tails.heavy ? Base::student_t : Base::normal) == Base::student_t) tails_ = tails.df;
  }

  TransformedDistribution<T> prepared(Poly<Distribution<T>> flow, const Fold& fold, const PrepareOptions& prepare) {
    FitOptions<T> o = fold.options(options_.fit);
    if (flow->context_dim() == 0) o.context = {}, o.validation_context = {};
    return detail::prepare<T>(std::move(flow), fold.smooth, prepare, o);
  }
  /// Where columns are rounded, with so many points in a cell.
  Poly<Distribution<T>> complete(Poly<Distribution<T>> model, Index points = race_points) const {
    if (rounded_.empty()) return model;
    return Quantized<T>(std::move(model), rounded_, points);
  }
  /// Without the cells.
  const TransformedDistribution<T>& inside(const Distribution<T>& model) const {
    return dynamic_cast<const TransformedDistribution<T>&>(
        rounded_.empty() ? model : dynamic_cast<const Quantized<T>&>(model).inner());
  }

  /// What stands around a flow of `fold`: its bijector leads to the rows as the flow sees them.
  TransformedDistribution<T> around(const Fold& fold, const PrepareOptions& prepare) {
    return prepared(MultivariateNormalDiag<T>::standard(dim_), fold, prepare);
  }

  // ---- candidates

  void start() {
    for (const Candidate<T>& candidate : candidates_) {
      Runner r{.candidate = &candidate};
      r.report.name = candidate.name;
      runners_.push_back(std::move(r));
    }
    // The fitted ones first: if it is cancelled here, they are what there is.
    for (const bool whiten : {true, false}) {
      const auto wants = [&](const Runner& r) { return r.candidate->whiten == whiten; };
      if (std::none_of(runners_.begin(), runners_.end(), wants)) continue;
      for (const Fold& fold : *folds_)
        with_task(fold, whiten, [&](const CandidateTask<T>& task) {
          for (Runner& r : runners_)
            if (wants(r))
              attempt(r, [&] {
                cancelled_ = options_.fit.cancel.stop_requested();
                if (cancelled_) throw Error("cancelled before it started");
                r.models.push_back(complete(prepared(r.candidate->start(task), fold, preparation(whiten))));
                r.scores.push_back(judged(*r.models.back(), fold));
                r.best_steps.push_back(0);
              });
        });
    }
    for (Runner& r : runners_)
      if (!r.problem) {
        r.report.parameters = count_parameters(*r.models.front());
        judge(r);
      }
  }

  PrepareOptions preparation(bool whiten) const {
    PrepareOptions o = prepare_;
    o.whiten = o.whiten && whiten;
    return o;
  }

  /// f(task) for what a candidate starts from in `fold`.
  template <class F>
  void with_task(const Fold& fold, bool whiten, const F& f) {
    const TransformedDistribution<T> outer = around(fold, preparation(whiten));
    const Matrix<T> data = outer.bijector().inverse(fold.smooth).value;
    Matrix<T> validation;
    CandidateTask<T> task;
    task.dim = dim_;
    task.context_dim = options_.fit.context.cols();
    task.data = data;
    task.weights = fold.weights;
    task.tails = tails_;
    task.seed = options_.fit.seed;
    task.cancel = options_.fit.cancel;
    if (fold.validation.rows() > 0) {
      validation = outer.bijector().inverse(fold.smooth_validation).value;
      task.validation = validation;
      task.validation_weights = fold.validation_weights;
    }
    f(task);
  }

  /// What goes wrong with one candidate is its own affair.
  template <class F>
  void attempt(Runner& r, const F& f) {
    if (r.problem) return;
    const auto begin = std::chrono::steady_clock::now();
    try {
      f();
    } catch (const Error& error) {
      r.problem = std::current_exception();
      r.report.problem = error.what();
    }
    r.report.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  Scores judged(const Distribution<T>& model, const Fold& fold) {
    const MatrixView<const T> context = model.context_dim() > 0 ? MatrixView<const T>(fold.validation_context)
                                                                : MatrixView<const T>();
    const Eigen::VectorXd values = model.log_prob(fold.validation, context, options_.fit.execution);
    return {{values.begin(), values.end()}};
  }

  void judge(Runner& r) const {
    if (r.problem) return;
    r.report.validation = all_scores(r).summary(folds_->judge_weights());
    r.mean = std::isnan(r.report.validation.mean) ? -infinity : r.report.validation.mean;
  }

  MeanLogLikelihood difference(const Runner& leading, const Runner& r) const {
    Scores d = all_scores(leading);
    const Scores own = all_scores(r);
    for (std::size_t i = 0; i < d.values.size(); ++i) d.values[i] -= own.values[i];
    return d.summary(folds_->judge_weights());
  }
  bool far_behind(const Runner& r, const Runner& leading) const {
    const MeanLogLikelihood d = difference(leading, r);
    return d.mean > 0.2 && d.mean > 4 * d.standard_error;
  }

  Scores all_scores(const Runner& r) const {
    Scores all;
    for (const Scores& s : r.scores) all.values.insert(all.values.end(), s.values.begin(), s.values.end());
    return all;
  }

  static Index batch_size(Index rows) {
    return static_cast<Index>(
        std::clamp<std::uint64_t>(std::bit_floor(static_cast<std::uint64_t>(rows) / 32 + 1), 32, 512));
  }
  static Index batches(Index rows) {
    return static_cast<Index>(detail::batch_bounds(rows, batch_size(rows)).size()) - 1;
  }

  /// `steps` of a fold's training rows, in whole epochs.
  FitOptions<T> training(FitOptions<T> o, Index rows, Index steps, bool last) const {
    const Index per_epoch = batches(rows);
    o.epochs = std::max<Index>(1, (steps + per_epoch / 2) / per_epoch);
    o.batch_size = batch_size(rows);
    o.warmup_steps = std::min<Index>(20, steps / 10);
    o.patience = 0;
    o.validate_every = std::clamp<Index>(40 / per_epoch, 1, o.epochs);
    o.schedule = last ? Schedule(CosineSchedule{}) : Schedule(ConstantSchedule{});
    o.checkpoint.clear();
    o.resume = false;
    return o;
  }

  /// One stage of one candidate, with its share of all steps.
  void advance(Runner& r, double share, Index stage, Index stages) {
    for (std::size_t f = 0; f < r.models.size() && !cancelled_; ++f)
      attempt(r, [&] {
        const Fold& fold = (*folds_)[f];
        const Index rows = fold.train.rows(), steps = steps_for(r, fold, share);
        FitOptions<T> o = training(fold.options(options_.fit), rows, steps, stage == stages);
        o.seed = options_.fit.seed + static_cast<std::uint64_t>(stage);
        Poly<Distribution<T>> trial = r.models[f];
        const FitReport report = fit(*trial, fold.train, o);
        r.report.steps += report.steps;
        cancelled_ = report.stop_reason == StopReason::cancelled;
        Scores scores = judged(*trial, fold);
        // A stage that ends worse than it began is as if it had not been.
        if (scores.summary(fold.validation_weights).mean > r.scores[f].summary(fold.validation_weights).mean) {
          r.models[f] = std::move(trial);
          r.scores[f] = std::move(scores);
          r.best_steps[f] += (report.best_epoch + 1) * batches(rows);
          r.last = report;
        }
      });
    ++r.report.stages;
    judge(r);
    if (options_.callback && !options_.callback(r.report.name, stage, stages)) cancelled_ = true;
  }

  Index steps_for(const Runner& r, const Fold& fold, double share) {
    const double folds = static_cast<double>(folds_->size());
    if (options_.seconds == 0) {
      const Index all = options_.steps > 0 ? options_.steps : default_steps(folds_->rows(), dim_);
      return std::max<Index>(1, static_cast<Index>(static_cast<double>(all) * share / folds));
    }
    // A few steps tell what one takes.
    Poly<Distribution<T>> trial = r.models.front();
    constexpr Index few = 10;
    FitOptions<T> o = training(fold.options(options_.fit), fold.train.rows(), few, false);
    o.callback = {};
    const FitReport report = fit(*trial, fold.train, o);
    const double each = report.seconds / static_cast<double>(std::max<Index>(report.steps, 1));
    return std::max<Index>(1, static_cast<Index>(options_.seconds * share / folds / each));
  }

  // ---- the end

  /// Of rounded columns, once more with all points.
  void judge_closely(Runner& r) {
    if (rounded_.empty() || r.problem) return;
    attempt(r, [&] {
      for (std::size_t f = 0; f < r.models.size(); ++f) {
        r.models[f] = complete(inside(*r.models[f]), Quantized<T>::usual_points);
        r.scores[f] = judged(*r.models[f], (*folds_)[f]);
      }
    });
    judge(r);
  }

  Best<T> finish() {
    for (Runner& r : runners_) judge_closely(r);
    std::stable_sort(runners_.begin(), runners_.end(), [](const Runner& a, const Runner& b) {
      return !a.problem && (b.problem || a.mean > b.mean);
    });
    const Runner& best_mean = runners_.front();
    if (best_mean.problem || best_mean.mean == -infinity) {
      if (best_mean.problem && runners_.size() == 1) std::rethrow_exception(best_mean.problem);
      std::string text = "fit_best: no candidate could be fitted";
      for (const Runner& r : runners_)
        text += fmt::format("\n  {}: {}", r.report.name,
                            r.problem ? r.report.problem : std::string("its density of some validation row is 0"));
      throw DomainError(text);
    }
    const CandidateReport leading = best_mean.report;
    prefer_fewer_parameters();
    Runner& winner = runners_.front();
    Best<T> best{.model = winner.models.front(), .rounded = rounded_, .report = winner.last};
    for (Runner& r : runners_) {
      if (!r.problem) r.report.behind = difference(winner, r);
      best.candidates.push_back(r.report);
    }
    best.heavy_tails = !tails_.empty();
    best.folds = folds_->size();
    best.complete = !cancelled_;
    best.reason = reason(best, leading);
    if (!cancelled_) {
      on_all_rows(winner, best);
      best.complete = best.report.stop_reason != StopReason::cancelled;
      // Cut short on all rows, where nothing tells how good it is, it is behind the one that the folds judged.
      if (!best.complete && folds_->size() > 1) best.model = winner.models.front();
      if (best.complete) gather_ensemble(winner, best);
    }
    // What is to be said of the data does not depend on who won.
    if (best.report.train_loss.empty()) {
      FitOptions<T> o = options_.fit;
      if (best.model->context_dim() == 0) o.context = {}, o.validation_context = {};
      const detail::FitRows<T> rows("fit_best", best.model->support(), best.model->context_dim(), data_, o);
      best.report.warnings = rows.warnings();
    }
    return best;
  }

  /// Of those that are as good as the best one, as far as the rows can tell, the smallest becomes the first.
  void prefer_fewer_parameters() {
    auto smallest = runners_.begin();
    for (auto r = runners_.begin() + 1; r != runners_.end(); ++r) {
      if (r->problem || r->report.parameters >= smallest->report.parameters) continue;
      const MeanLogLikelihood d = difference(runners_.front(), *r);
      if (d.mean < 0.02 && d.mean <= d.standard_error) smallest = r;
    }
    std::rotate(runners_.begin(), smallest, smallest + 1);
  }

  std::string reason(const Best<T>& best, const CandidateReport& leading) const {
    const CandidateReport& first = best.candidates.front();
    if (first.name != leading.name) {
      const auto behind = std::find_if(best.candidates.begin(), best.candidates.end(),
                                       [&](const CandidateReport& c) { return c.name == leading.name; })->behind;
      return fmt::format("{} has fewer parameters than {}, which is better by {:.3f} +- {:.3f} nats{}", first.name,
                         leading.name, 0.0 - behind.mean, behind.standard_error, of_tails(best));
    }
    std::string text = fmt::format(
        "{} describes {} best", first.name,
        folds_->size() > 1 ? fmt::format("the rows that each of {} fits had not seen", folds_->size())
                          : "the validation rows");
    for (std::size_t i = 1; i < best.candidates.size(); ++i) {
      const CandidateReport& next = best.candidates[i];
      if (!next.problem.empty()) continue;
      const double by = next.behind.mean, error = next.behind.standard_error;
      text += by > 2 * error ? fmt::format(", by {:.3f} +- {:.3f} nats before {}", by, error, next.name)
                             : fmt::format("; {} is as good within the error", next.name);
      break;
    }
    return text + of_tails(best);
  }
  std::string of_tails(const Best<T>& best) const {
    const bool flow = runners_.front().candidate->trains;
    return flow && best.heavy_tails && !options_.base ? "; the base is Student's t, for the tails are heavy" : "";
  }

  /// The winner of folds starts again from all rows; that of a part of a large table goes on with all.
  void on_all_rows(const Runner& winner, Best<T>& best) {
    const bool folded = folds_->size() > 1, part = !folded && data_.rows() > detail::Folds<T>::race_rows;
    if (folded) {
      whole_.emplace(folds_->whole());
      best.model = complete(started_again(winner, *whole_, options_.fit.seed), Quantized<T>::usual_points);
      train_again(winner, best, options_.fit.seed);
    } else if (part && winner.candidate->trains) {
      FitOptions<T> o = options_.fit;
      o.loss = {};
      best.report = fit(*best.model, data_, training(o, folds_->rows(), batches(folds_->rows()), true));
    }
  }

  /// The winner before its first step, from the rows of `fold`.
  TransformedDistribution<T> started_again(const Runner& winner, const Fold& fold, std::uint64_t seed) {
    std::optional<TransformedDistribution<T>> model;
    const bool whiten = winner.candidate->whiten;
    with_task(fold, whiten, [&](CandidateTask<T> task) {
      task.seed = seed;
      if (fold.validation.rows() == 0) task.chosen = &inside(*winner.models.front()).base();
      model.emplace(prepared(winner.candidate->start(task), fold, preparation(whiten)));
    });
    return std::move(*model);
  }

  /// As many steps as the winner had when it was best, on all rows; or as many as it had, with the rows that judge.
  void train_again(const Runner& winner, Best<T>& best, std::uint64_t seed) {
    if (!winner.candidate->trains) return;
    FitOptions<T> o = options_.fit;
    o.loss = {};
    o.seed = seed;
    if (folds_->size() > 1) {
      const double folds = static_cast<double>(folds_->size());
      const double steps =
          static_cast<double>(std::accumulate(winner.best_steps.begin(), winner.best_steps.end(), Index{0})) / folds;
      o.validation_fraction = 0;
      const auto all = static_cast<Index>(steps * folds / (folds - 1));
      if (all > 0) best.report = fit(*best.model, data_, training(o, folds_->rows(), all, true));
    } else {
      const Fold& fold = (*folds_)[0];
      best.report = fit(*best.model, fold.train,
                        training(fold.options(o), fold.train.rows(), winner.report.steps, true));
    }
  }

  /// Fits of the winner with other random numbers join it.
  void gather_ensemble(const Runner& winner, Best<T>& best) {
    if (options_.ensemble == 1) return;
    std::vector<Poly<Distribution<T>>> members{inside(*best.model)};
    for (Index m = 1; m < options_.ensemble; ++m) {
      const std::uint64_t seed = Engine(options_.fit.seed).stream("ensemble").seed() + static_cast<std::uint64_t>(m);
      Best<T> member{.report = best.report};
      member.model = complete(started_again(winner, whole_ ? *whole_ : (*folds_)[0], seed));
      train_again(winner, member, seed);
      if (member.report.stop_reason == StopReason::cancelled) {
        best.complete = false;
        break;
      }
      members.push_back(inside(*member.model));
    }
    best.model = complete(Mixture<T>(std::move(members)), Quantized<T>::usual_points);
  }

  MatrixView<const T> data_;
  Index dim_ = 0;  // of the flows
  const FitBestOptions<T>& options_;
  PrepareOptions prepare_;
  std::vector<Candidate<T>> candidates_;
  std::optional<detail::Folds<T>> folds_;
  std::optional<Fold> whole_;  // of all rows, once the winner of folds starts again
  std::vector<double> tails_;
  std::vector<GridColumn> rounded_;
  std::vector<Runner> runners_;
  bool cancelled_ = false;
};

}  // namespace

// Few rows make small batches, and their steps are dealt to the fits of all folds.
Index default_steps(Index rows, Index columns) {
  constexpr Index most = 40'000;
  const Index steps = rows < detail::few_rows ? most : std::min(8'000 + rows, most);
  return std::max(steps * std::min<Index>(columns, 100) / std::max<Index>(columns, 1), steps / 20);
}

std::string to_text(const std::vector<CandidateReport>& candidates) {
  std::string text = fmt::format("  {:<16} {:>22} {:>22} {:>8} {:>10}\n", "candidate", "validation",
                                 "behind the best", "steps", "seconds");
  const auto with_error = [](const MeanLogLikelihood& m) {
    return std::abs(m.mean) < 1e6 ? fmt::format("{:.4f} +- {:.4f}", m.mean, m.standard_error)
                                  : fmt::format("{:.4g} +- {:.2g}", m.mean, m.standard_error);
  };
  for (const CandidateReport& c : candidates)
    text += c.problem.empty()
                ? fmt::format("  {:<16} {:>22} {:>22} {:>8} {:>10.1f}\n", c.name, with_error(c.validation),
                              &c == &candidates.front() ? std::string("-") : with_error(c.behind), c.steps, c.seconds)
                : fmt::format("  {:<16} {}\n", c.name, c.problem);
  return text;
}

template <Scalar T>
Best<T> fit_best(MatrixView<const T> data, const std::type_identity_t<FitBestOptions<T>>& options) {
  return Race<T>(data, options).run();
}

template Best<float> fit_best(MatrixView<const float>, const FitBestOptions<float>&);
template Best<double> fit_best(MatrixView<const double>, const FitBestOptions<double>&);

}  // namespace pushforward
