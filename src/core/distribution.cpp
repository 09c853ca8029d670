#include <algorithm>
#include <pushforward/distribution.hpp>
#include <span>
#include <tuple>
#include <utility>

#include "src/core/column_order.hpp"
#include "src/core/evaluate.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Distribution<T>::Distribution(std::string name, std::vector<Index> event_shape, Index context_dim)
    : Component<T>(std::move(name)) {
  set_shape(std::move(event_shape), context_dim);
}

template <Scalar T>
void Distribution<T>::set_shape(std::vector<Index> event_shape, Index context_dim) {
  dim_ = checked_dim(this->name(), event_shape, context_dim);
  event_shape_ = std::move(event_shape);
  context_dim_ = context_dim;
}

template <Scalar T>
void Distribution<T>::dim_field(Fields<T>& f, Index most) {
  Index dim = dim_;
  f.constant("dim", dim, 1, most);
  if (f.restoring()) set_shape({dim});
}

template <Scalar T>
NotImplemented Distribution<T>::not_implemented(std::string_view what, std::string_view reason) const {
  return NotImplemented(this->name() + "::" + std::string(what) + ": " + std::string(reason));
}

namespace {

/// Where draws are integrated out, those that made a sample do not say its density, and new ones do not follow from a
/// prefix.
template <Scalar T>
void check_density_is_not_drawn(const Distribution<T>& d, const char* call) {
  if (d.estimates() == Estimate::density)
    throw NotImplemented(d.name() + "::" + call +
                         ": its density is the mean over draws; sample, then log_prob(y, engine)");
}

/// log_prob of a row from what the hooks computed and what the row held.
inline double marked(double value, std::uint8_t mark) {
  if (mark & row_nan) return std::numeric_limits<double>::quiet_NaN();
  if (mark & row_outside) return -std::numeric_limits<double>::infinity();
  return value;
}

}  // namespace

template <Scalar T>
Column<T> Distribution<T>::log_prob(Pass<T>& pass, Var<T> y) const {
  if (y.cols() != dim_)
    throw ShapeError(this->name() + "::log_prob: expected (N, " + std::to_string(dim_) + "), got " +
                     shape_text({pass.rows(), y.cols()}));
  check_pass_context(this->name(), "log_prob", context_dim_, pass);
  const typename Pass<T>::Part part(pass, this->name());
  return do_log_prob(pass, y);
}

template <Scalar T>
Var<T> Distribution<T>::sample(Pass<T>& pass) const {
  check_pass_context(this->name(), "sample", context_dim_, pass);
  const typename Pass<T>::Part part(pass, this->name());
  return do_sample(pass);
}

template <Scalar T>
Drawn<T> Distribution<T>::sample_and_log_prob(Pass<T>& pass) const {
  check_pass_context(this->name(), "sample_and_log_prob", context_dim_, pass);
  check_density_is_not_drawn(*this, "sample_and_log_prob");
  const typename Pass<T>::Part part(pass, this->name());
  return do_sample_and_log_prob(pass);
}

template <Scalar T>
bool Distribution<T>::propose_start(Pass<T>& pass, Var<T> y, const double* weights) const {
  check_pass_context(this->name(), "propose_start", context_dim_, pass);
  const typename Pass<T>::Part part(pass, this->name());
  return do_propose_start(pass, y, weights);
}

template <Scalar T>
bool Distribution<T>::do_propose_start(Pass<T>&, Var<T>, const double*) const {
  return false;
}

template <Scalar T>
Drawn<T> Distribution<T>::do_sample_and_log_prob(Pass<T>& pass) const {
  const Var<T> y = do_sample(pass);
  return {y, do_log_prob(pass, y)};
}

namespace {

template <Scalar T>
void store_marked(Column<T> result, const Pass<T>& pass, Index begin, Index count, VectorView<double> out) {
  for (Index i = 0; i < count; ++i)
    out[begin + i] = marked(result.is_zero() ? 0.0 : result.values()[i], pass.outside()[i]);
}

/// log_prob(pass, rows) of all rows of `y`.
template <Scalar T, class F>
void score(const Distribution<T>& d, const char* call, MatrixView<const T> y, VectorView<double> out,
           MatrixView<const T> context, Run run, F log_prob) {
  check_context(d.name(), call, context, y.rows(), d.context_dim());
  if (out.size() != y.rows())
    throw ShapeError(d.name() + "::" + call + ": expected " + std::to_string(y.rows()) +
                     " places for the result, got " + std::to_string(out.size()));
  for_each_pass<T>(Tape<T>::Mode::evaluate, y.rows(), context, nullptr, run,
                   [&](Tape<T>& tape, Pass<T>& pass, Index begin, Index count) {
                     const Var<T> rows = load(tape, y.middle_rows(begin, count), false);
                     mark_non_finite(tape, rows, pass.outside());
                     store_marked(log_prob(pass, rows), pass, begin, count, out);
                   });
}

}  // namespace

template <Scalar T>
void Distribution<T>::log_prob_into(MatrixView<const T> y, VectorView<double> out, MatrixView<const T> context,
                                    Run run) const {
  check_columns(this->name(), "log_prob", y, dim_);
  score(*this, "log_prob", y, out, context, run, [&](Pass<T>& pass, Var<T> rows) { return log_prob(pass, rows); });
}

namespace {

/// Value and standard error of what the draws of one row estimate without bias.
std::pair<double, double> estimated(Estimate kind, std::span<const double> log_draws) {
  const double n = static_cast<double>(log_draws.size());
  const double top = *std::max_element(log_draws.begin(), log_draws.end());
  if (std::isinf(top) && top < 0) return {top, 0.0};
  // A density is averaged in units of its largest draw.
  const auto term = [&](double l) { return kind == Estimate::density ? std::exp(l - top) : l; };
  double mean = 0, square = 0;
  for (const double l : log_draws) mean += term(l) / n;
  for (const double l : log_draws) square += (term(l) - mean) * (term(l) - mean);
  const double error = std::sqrt(square / (n - 1) / n);
  return kind == Estimate::density ? std::pair{top + std::log(mean), error / mean} : std::pair{mean, error};
}

}  // namespace

template <Scalar T>
void Distribution<T>::estimate_into(MatrixView<const T> y, Engine& engine, Index draws, VectorView<double> value,
                                    VectorView<double> standard_error, MatrixView<const T> context, Run run) const {
  check_columns(this->name(), "log_prob", y, dim_);
  check_context(this->name(), "log_prob", context, y.rows(), context_dim_);
  if (draws < 2)
    throw DomainError(this->name() + "::log_prob: a standard error takes at least 2 draws, got " +
                      std::to_string(draws));
  const RandomCall noise = engine.next_call();
  const Estimate kind = estimates();
  if (kind == Estimate::exact) {
    log_prob_into(y, value, context, run);
    for (Index i = 0; i < y.rows(); ++i) standard_error[i] = std::isnan(value[i]) ? value[i] : 0.0;
    return;
  }
  for_each_pass<T>(Tape<T>::Mode::evaluate, y.rows(), context, &noise, run,
                   [&](Tape<T>& tape, Pass<T>& pass, Index begin, Index count) {
                     const Var<T> rows = load(tape, y.middle_rows(begin, count), false);
                     mark_non_finite(tape, rows, pass.outside());
                     // Each draw marks rows by itself.
                     const std::vector<std::uint8_t> marks(pass.outside(), pass.outside() + tape.padded_rows());
                     const auto n = static_cast<std::size_t>(draws);
                     std::vector<double> drawn(static_cast<std::size_t>(count) * n);  // those of a row side by side
                     for (std::size_t d = 0; d < n; ++d) {
                       const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);
                       std::copy(marks.begin(), marks.end(), pass.outside());
                       const Column<T> result = log_prob(pass, rows);
                       for (Index i = 0; i < count; ++i)
                         drawn[static_cast<std::size_t>(i) * n + d] =
                             marked(result.is_zero() ? 0.0 : result.values()[i], pass.outside()[i]);
                     }
                     for (Index i = 0; i < count; ++i)
                       std::tie(value[begin + i], standard_error[begin + i]) =
                           estimated(kind, std::span(drawn).subspan(static_cast<std::size_t>(i) * n, n));
                   });
}

template <Scalar T>
void Distribution<T>::log_prob_and_gradient_into(MatrixView<const T> y, VectorView<double> log_prob,
                                                 MatrixView<T> gradient, MatrixView<T> context_gradient,
                                                 MatrixView<const T> context, Run run) const {
  check_columns(this->name(), "log_prob_and_gradient", y, dim_);
  check_context(this->name(), "log_prob_and_gradient", context, y.rows(), context_dim_);
  if (log_prob.size() != y.rows() || gradient.rows() != y.rows() || gradient.cols() != dim_ ||
      (context_dim_ > 0 && (context_gradient.rows() != y.rows() || context_gradient.cols() != context_dim_)))
    throw ShapeError(this->name() + "::log_prob_and_gradient: expected outputs of " + std::to_string(y.rows()) +
                     " values, " + shape_text({y.rows(), dim_}) + " and " + shape_text({y.rows(), context_dim_}));
  for_each_pass<T>(Tape<T>::Mode::record, y.rows(), context, nullptr, run,
                   [&](Tape<T>& tape, Pass<T>& pass, Index begin, Index count) {
                     const Var<T> rows = load(tape, y.middle_rows(begin, count), true);
                     mark_non_finite(tape, rows, pass.outside());
                     const Column<T> result = this->log_prob(pass, rows);
                     auto* ones = tape.template scratch<double>(count);
                     std::fill_n(ones, count, 1.0);
                     tape.backward(result, ones);
                     const auto write = [&](Var<T> x, MatrixView<T> out) {
                       for (Index c = 0; c < x.cols(); ++c) {
                         const T* g = Tape<T>::has_gradient(x) ? tape.gradient(x, c) : nullptr;
                         for (Index i = 0; i < count; ++i) {
                           const std::uint8_t mark = pass.outside()[i];
                           out(begin + i, c) = (mark & row_nan)             ? std::numeric_limits<T>::quiet_NaN()
                                               : (mark & row_outside) || !g ? T(0)
                                                                            : g[i];
                         }
                       }
                     };
                     write(rows, gradient);
                     if (context_dim_ > 0) write(pass.context(), context_gradient);
                     store_marked(result, pass, begin, count, log_prob);
                   });
}

template <Scalar T>
Index Distribution<T>::checked_count(const char* call, Index samples) const {
  if (samples < 0)
    throw ShapeError(this->name() + "::" + call + ": the number of samples must be at least 0, got " +
                     std::to_string(samples));
  return samples;
}

template <Scalar T>
void Distribution<T>::draw_into(MatrixView<T> samples, VectorView<double> log_prob, Engine& engine,
                                MatrixView<const T> context, bool each, Run run) const {
  const char* call = each ? "sample_each" : log_prob.size() != 0 ? "sample_and_log_prob" : "sample";
  check_columns(this->name(), call, MatrixView<const T>(samples), dim_);
  checked_count(call, samples.rows());
  if (!each && context_dim_ > 0 && context.rows() != 1)
    throw ShapeError(this->name() + "::" + call + ": expected one context row, got " + std::to_string(context.rows()) +
                     "; sample_each draws one sample for each row");
  check_context(this->name(), call, context, samples.rows(), context_dim_);
  const RandomCall noise = engine.next_call();
  for_each_pass<T>(Tape<T>::Mode::evaluate, samples.rows(), context, &noise, run,
                   [&](Tape<T>& tape, Pass<T>& pass, Index begin, Index count) {
                     Drawn<T> drawn;
                     if (log_prob.empty())
                       drawn.value = sample(pass);
                     else
                       drawn = sample_and_log_prob(pass);
                     store_unmarked(tape, pass, drawn.value, begin, count, samples);
                     if (!log_prob.empty()) store_marked(drawn.log_prob, pass, begin, count, log_prob);
                   });
}

// ------------------------------------------------------------------------------------------------------ prefixes

template <Scalar T>
const Prefixes<T>& Distribution<T>::prefixes() const {
  if (const Prefixes<T>* prefixes = do_prefixes()) return *prefixes;
  throw not_implemented("triangular_order", "its columns have no order in which prefixes have a density of their own");
}

template <Scalar T>
Column<T> Distribution<T>::marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const {
  check_pass_context(this->name(), "marginal_log_prob", context_dim_, pass);
  const typename Pass<T>::Part part(pass, this->name());
  return prefixes().do_marginal_log_prob(pass, y, columns);
}

template <Scalar T>
Var<T> Distribution<T>::sample_given(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const {
  check_pass_context(this->name(), "sample_given", context_dim_, pass);
  check_density_is_not_drawn(*this, "sample_given_prefix");
  const typename Pass<T>::Part part(pass, this->name());
  return prefixes().do_sample_given(pass, y, columns);
}

template <Scalar T>
std::vector<std::int64_t> Distribution<T>::prefix_columns(const char* call, Index count) const {
  if (count < 1 || count > dim_)
    throw ShapeError(this->name() + "::" + call + ": expected (N, k) with k from 1 to " + std::to_string(dim_) +
                     ", got k = " + std::to_string(count));
  std::vector<std::int64_t> order = triangular_order();
  if (order.empty()) order = detail::standing_order(dim_);
  order.resize(static_cast<std::size_t>(count));
  return order;
}

template <Scalar T>
void Distribution<T>::prefix_log_prob_into(MatrixView<const T> prefix, VectorView<double> out,
                                           MatrixView<const T> context, Run run) const {
  const std::vector<std::int64_t> columns = prefix_columns("prefix_log_prob", prefix.cols());
  score(*this, "prefix_log_prob", prefix, out, context, run,
        [&](Pass<T>& pass, Var<T> rows) { return marginal_log_prob(pass, rows, columns); });
}

template <Scalar T>
void Distribution<T>::sample_given_prefix_into(MatrixView<const T> prefix, MatrixView<T> out, Engine& engine,
                                               MatrixView<const T> context, Run run) const {
  const std::vector<std::int64_t> columns = prefix_columns("sample_given_prefix", prefix.cols());
  check_context(this->name(), "sample_given_prefix", context, prefix.rows(), context_dim_);
  if (out.rows() != prefix.rows() || out.cols() != dim_)
    throw ShapeError(this->name() + "::sample_given_prefix: expected an output of shape " +
                     shape_text({prefix.rows(), dim_}) + ", got " + shape_text({out.rows(), out.cols()}));
  const RandomCall noise = engine.next_call();
  for_each_pass<T>(Tape<T>::Mode::evaluate, prefix.rows(), context, &noise, run,
                   [&](Tape<T>& tape, Pass<T>& pass, Index begin, Index count) {
                     const Var<T> rows = load(tape, prefix.middle_rows(begin, count), false);
                     mark_non_finite(tape, rows, pass.outside());
                     store_unmarked(tape, pass, sample_given(pass, rows, columns), begin, count, out);
                   });
}

// --------------------------------------------------------------------------------------------- moments and tails

template <Scalar T>
void Distribution<T>::do_mean(VectorView<double>) const {
  throw not_implemented("mean", "no closed form; average over samples");
}
template <Scalar T>
void Distribution<T>::do_variance(VectorView<double>) const {
  throw not_implemented("variance", "no closed form; estimate it from samples");
}
template <Scalar T>
void Distribution<T>::do_covariance(MatrixView<double> covariance) const {
  Eigen::VectorXd variance(dim_);
  do_variance(variance);
  as_eigen(covariance) = variance.asDiagonal();
}
template <Scalar T>
void Distribution<T>::do_mode(VectorView<double>) const {
  throw not_implemented("mode", "no closed form; maximise log_prob with log_prob_and_gradient");
}
template <Scalar T>
double Distribution<T>::do_entropy() const {
  throw not_implemented("entropy", "no closed form; average -log_prob over samples");
}
template <Scalar T>
std::optional<double> Distribution<T>::do_kl_divergence(const Distribution&) const {
  return std::nullopt;
}
template <Scalar T>
void Distribution<T>::do_tails(Tail, MatrixView<const T>, MatrixView<double>) const {
  throw not_implemented("cdf", "only elementwise families have one per column");
}
template <Scalar T>
void Distribution<T>::do_quantiles(bool, MatrixView<const double>, MatrixView<double>) const {
  throw not_implemented("quantile", "only elementwise families have one per column");
}

namespace {

template <Scalar T>
void check_places(const Distribution<T>& d, const char* call, VectorView<double> out) {
  if (out.size() != d.dim())
    throw ShapeError(d.name() + "::" + call + ": expected " + std::to_string(d.dim()) + " places for the result, got " +
                     std::to_string(out.size()));
}

}  // namespace

template <Scalar T>
void Distribution<T>::mean_into(VectorView<double> out) const {
  check_places(*this, "mean", out);
  do_mean(out);
}
template <Scalar T>
void Distribution<T>::variance_into(VectorView<double> out) const {
  check_places(*this, "variance", out);
  do_variance(out);
}
template <Scalar T>
void Distribution<T>::mode_into(VectorView<double> out) const {
  check_places(*this, "mode", out);
  do_mode(out);
}

template <Scalar T>
void Distribution<T>::covariance_into(MatrixView<double> out) const {
  if (out.rows() != dim_ || out.cols() != dim_)
    throw ShapeError(this->name() + "::covariance: expected an output of shape " + shape_text({dim_, dim_}) + ", got " +
                     shape_text({out.rows(), out.cols()}));
  do_covariance(out);
}

namespace {

void check_elements(const std::string& name, const char* call, Index rows, Index cols, MatrixView<double> out) {
  if (out.rows() != rows || out.cols() != cols)
    throw ShapeError(name + "::" + call + ": expected an output of shape " + shape_text({rows, cols}) + ", got " +
                     shape_text({out.rows(), out.cols()}));
}

/// f(in), which sees `instead` in the place of NaN, and NaN in its places in the result.
template <class T, class F>
void without_nan(MatrixView<const T> in, T instead, MatrixView<double> out, F f) {
  const auto each_nan = [&](auto found) {
    for (Index c = 0; c < in.cols(); ++c)
      for (Index i = 0; i < in.rows(); ++i)
        if (std::isnan(in(i, c))) found(i, c);
  };
  Matrix<T> copy;
  each_nan([&](Index i, Index c) {
    if (copy.size() == 0) {
      copy.resize(in.rows(), in.cols());
      for (Index k = 0; k < in.cols(); ++k)
        for (Index j = 0; j < in.rows(); ++j) copy(j, k) = in(j, k);
    }
    copy(i, c) = instead;
  });
  f(copy.size() == 0 ? in : MatrixView<const T>(copy));
  each_nan([&](Index i, Index c) { out(i, c) = std::numeric_limits<double>::quiet_NaN(); });
}

}  // namespace

template <Scalar T>
void Distribution<T>::tail_into(Tail tail, MatrixView<const T> y, MatrixView<double> out) const {
  check_columns(this->name(), "cdf", y, dim_);
  check_elements(this->name(), "cdf", y.rows(), dim_, out);
  if (y.rows() == 0) return;
  without_nan(y, T(0), out, [&](MatrixView<const T> all) { do_tails(tail, all, out); });
}

template <Scalar T>
void Distribution<T>::quantile_into(MatrixView<const double> p, MatrixView<double> out, bool complement) const {
  const char* call = complement ? "quantile_complement" : "quantile";
  check_columns(this->name(), call, p, dim_);
  check_elements(this->name(), call, p.rows(), dim_, out);
  for (Index c = 0; c < dim_; ++c)
    for (Index i = 0; i < p.rows(); ++i)
      if (p(i, c) < 0 || p(i, c) > 1)
        throw DomainError(this->name() + "::" + call + ": row " + std::to_string(i) + ", column " + std::to_string(c) +
                          ": a probability lies in [0, 1], got " + detail::number_text(p(i, c)));
  if (p.rows() == 0) return;
  without_nan(p, 0.5, out, [&](MatrixView<const double> all) { do_quantiles(complement, all, out); });
}

// --------------------------------------------------------------------------------------------------- divergences

template <Scalar T>
std::optional<double> Distribution<T>::exact_kl_divergence(const Distribution& other) const {
  if (dim_ != other.dim())
    throw ShapeError("kl_divergence: " + this->name() + " has dim " + std::to_string(dim_) + " but " + other.name() +
                     " has dim " + std::to_string(other.dim()));
  return do_kl_divergence(other);
}

template <Scalar T>
double kl_divergence(const Distribution<T>& p, const Distribution<T>& q) {
  if (const std::optional<double> exact = p.exact_kl_divergence(q)) return *exact;
  throw NotImplemented("kl_divergence(" + p.name() + ", " + q.name() +
                       "): no closed form; pass an engine for a Monte Carlo estimate with its standard error");
}

template <Scalar T>
KlDivergence kl_divergence(const Distribution<T>& p, const Distribution<T>& q, Engine& engine, Index n) {
  if (const std::optional<double> exact = p.exact_kl_divergence(q)) return {*exact, 0.0, true};
  if (n < 2) throw DomainError("kl_divergence: expected at least 2 samples, got " + std::to_string(n));
  const Estimate of_q = q.estimates();
  if (of_q == Estimate::density)
    throw NotImplemented("kl_divergence(" + p.name() + ", " + q.name() +
                         "): draws of the second estimate its density, and the mean of their logarithms is biased");
  const SamplesAndLogProb<T> drawn = p.sample_and_log_prob(n, engine);
  const Eigen::VectorXd difference =
      drawn.log_prob -
      (of_q == Estimate::exact ? q.log_prob(drawn.samples) : q.log_prob(drawn.samples, engine, 2).value);
  const double mean = difference.mean();
  const double variance = (difference.array() - mean).square().sum() / static_cast<double>(n - 1);
  return {mean, std::sqrt(variance / static_cast<double>(n)), false};
}

template class Distribution<float>;
template class Distribution<double>;
template double kl_divergence(const Distribution<float>&, const Distribution<float>&);
template double kl_divergence(const Distribution<double>&, const Distribution<double>&);
template KlDivergence kl_divergence(const Distribution<float>&, const Distribution<float>&, Engine&, Index);
template KlDivergence kl_divergence(const Distribution<double>&, const Distribution<double>&, Engine&, Index);

}  // namespace pushforward
