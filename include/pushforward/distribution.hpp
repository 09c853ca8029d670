#pragma once

#include <cmath>
#include <optional>
#include <pushforward/bijector.hpp>
#include <pushforward/component.hpp>
#include <pushforward/fields.hpp>
#include <pushforward/execution.hpp>
#include <pushforward/pass.hpp>
#include <pushforward/poly.hpp>
#include <string>
#include <vector>

namespace pushforward {

template <Scalar T>
class Distribution;

/// Samples on a tape with their log-probabilities.
template <Scalar T>
struct Drawn {
  Var<T> value;
  Column<T> log_prob;
};

template <Scalar T, class Values = Matrix<T>>
struct SamplesAndLogProb {
  Values samples;            ///< (n, dim)
  Eigen::VectorXd log_prob;  ///< (n), nats
};

/// Of a stochastic density, from some draws for each row.
template <Scalar T, class Values = Eigen::VectorXd>
struct LogProbEstimate {
  Values value;
  Values standard_error;  ///< 0 where nothing is drawn
};

/// What a distribution offers whose columns follow on each other: it derives from this too and returns itself from
/// `do_prefixes`. The order is that of `Distribution::triangular_order`; hooks get the first columns of it.
template <Scalar T>
class Prefixes {
 public:
  virtual ~Prefixes() = default;

 protected:
  Prefixes() = default;
  Prefixes(const Prefixes&) = default;
  Prefixes(Prefixes&&) = default;
  Prefixes& operator=(const Prefixes&) = default;
  Prefixes& operator=(Prefixes&&) = default;

 private:
  friend class Distribution<T>;
  /// Default: independent columns, in any order.
  virtual std::vector<std::int64_t> do_triangular_order() const { return {}; }
  /// log density of those columns; `y` has them alone.
  virtual Column<T> do_marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const = 0;
  /// A draw of all columns, given those.
  virtual Var<T> do_sample_given(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const = 0;
};

template <Scalar T, class Values = Matrix<T>>
struct LogProbAndGradient {
  Eigen::VectorXd log_prob;
  Values gradient;          ///< d log_prob / d y, (N, dim)
  Values context_gradient;  ///< d log_prob / d context, (N, context_dim)
};

/// A probability density over rows of `dim()` columns.
///
/// Outside the support log_prob is exactly -inf. NaN in a row gives NaN for that row alone. Values so large that their
/// squares or products leave the range of T (beyond about 1e19 in float) may give -inf or NaN where the exact value is
/// finite. All const members may run at the same time on one object.
template <Scalar T>
class Distribution : public Component<T> {
 public:
  // ---- on a tape
  Column<T> log_prob(Pass<T>& pass, Var<T> y) const;
  /// Samples for the rows of the pass, differentiable in the parameters where is_reparameterized().
  Var<T> sample(Pass<T>& pass) const;
  Drawn<T> sample_and_log_prob(Pass<T>& pass) const;
  /// Proposes first values of the parameters from the rows of the batch, row i counting weights[i] >= 0 times; true if
  /// the class has some. Every thread of the group calls it; `weights` has all rows of the batch.
  bool propose_start(Pass<T>& pass, Var<T> y, const double* weights) const;

  // Functions that return Eigen objects are always inlined: the caller's code allocates and frees them, whatever flags
  // it was built with.
  // ---- numbers: y is (N, dim()); context is (N, context_dim()) or one row for all
  /// @throws ShapeError  if a size does not fit.
  [[gnu::always_inline]] Eigen::VectorXd log_prob(MatrixView<const T> y, MatrixView<const T> context = {},
                                                  Run run = {}) const {
    Eigen::VectorXd result(y.rows());
    log_prob_into(y, result, context, run);
    return result;
  }
  template <Place P>
  [[gnu::always_inline]] Eigen::VectorXd log_prob(MatrixView<const T> y, P&& where) const {
    return log_prob(y, {}, where);
  }
  [[gnu::always_inline]] Eigen::VectorXd prob(MatrixView<const T> y, MatrixView<const T> context = {},
                                              Run run = {}) const {
    // Not Eigen's exp, whose smallest value is not 0.
    return log_prob(y, context, run).unaryExpr([](double v) { return std::exp(v); });
  }
  template <Place P>
  [[gnu::always_inline]] Eigen::VectorXd prob(MatrixView<const T> y, P&& where) const {
    return prob(y, {}, where);
  }
  void log_prob_into(MatrixView<const T> y, VectorView<double> out, MatrixView<const T> context = {},
                     Run run = {}) const;
  template <Place P>
  void log_prob_into(MatrixView<const T> y, VectorView<double> out, P&& where) const {
    log_prob_into(y, out, {}, where);
  }
  /// Stochastic densities, whose hooks draw: what `draws` draws for each row say, with a standard error.
  /// By `estimates()` the value is the mean of log_prob over draws, or the log of the mean density (on average below
  /// log p by half the squared standard error), whose standard error is that of the mean density divided by it. -inf,
  /// with standard error 0, where every draw is outside the support; the standard error of a mean of log_prob is NaN
  /// where some are. Row i depends on the engine's seed, its call number and i alone. Advances the engine by one call.
  /// The standard error is itself an estimate. That of a density is too small where few of its draws carry the mean, in
  /// the tails above all: of 95 % intervals of one model 89 % held the truth in the middle with 64 draws, and in its
  /// tail 72 % with 512 and 82 % with 4,096. More draws are the way out: an error that does not fall with the square
  /// root of their number is not to be believed. Of drawn logarithms 93 to 95 % held it everywhere.
  /// Densities that draw nothing have the values of log_prob(y) and standard errors of 0.
  /// @throws DomainError  for fewer than 2 draws.
  /// @throws Error        naming the part that draws, where no part says what its draws estimate; so does every call
  ///                      without an engine.
  [[gnu::always_inline]] LogProbEstimate<T> log_prob(MatrixView<const T> y, Engine& engine, Index draws = 64,
                                                     MatrixView<const T> context = {}, Run run = {}) const {
    LogProbEstimate<T> result{Eigen::VectorXd(y.rows()), Eigen::VectorXd(y.rows())};
    estimate_into(y, engine, draws, result.value, result.standard_error, context, run);
    return result;
  }
  template <Place P>
  [[gnu::always_inline]] LogProbEstimate<T> log_prob(MatrixView<const T> y, Engine& engine, Index draws,
                                                     P&& where) const {
    return log_prob(y, engine, draws, {}, where);
  }
  [[gnu::always_inline]] LogProbAndGradient<T> log_prob_and_gradient(MatrixView<const T> y,
                                                                     MatrixView<const T> context = {},
                                                                     Run run = {}) const {
    LogProbAndGradient<T> r{Eigen::VectorXd(y.rows()), Matrix<T>(y.rows(), y.cols()),
                            Matrix<T>(context_dim() ? y.rows() : 0, context_dim())};
    log_prob_and_gradient_into(y, r.log_prob, r.gradient, r.context_gradient, context, run);
    return r;
  }
  template <Place P>
  [[gnu::always_inline]] LogProbAndGradient<T> log_prob_and_gradient(MatrixView<const T> y, P&& where) const {
    return log_prob_and_gradient(y, {}, where);
  }
  void log_prob_and_gradient_into(MatrixView<const T> y, VectorView<double> log_prob, MatrixView<T> gradient,
                                  MatrixView<T> context_gradient, MatrixView<const T> context = {}, Run run = {}) const;

  /// n samples; row i depends on the engine's seed, its call number and i alone. Advances the engine by one call.
  [[gnu::always_inline]] Matrix<T> sample(Index n, Engine& engine, MatrixView<const T> context_row = {},
                                          Run run = {}) const {
    Matrix<T> samples(checked_count("sample", n), dim());
    draw_into(samples, {}, engine, context_row, false, run);
    return samples;
  }
  template <Place P>
  [[gnu::always_inline]] Matrix<T> sample(Index n, Engine& engine, P&& where) const {
    return sample(n, engine, {}, where);
  }
  /// One sample for each row of `contexts`.
  [[gnu::always_inline]] Matrix<T> sample_each(MatrixView<const T> contexts, Engine& engine, Run run = {}) const {
    Matrix<T> samples(contexts.rows(), dim());
    draw_into(samples, {}, engine, contexts, true, run);
    return samples;
  }
  /// Samples and their log-probabilities from one pass; needs no inverse. NotImplemented where a density is drawn.
  [[gnu::always_inline]] SamplesAndLogProb<T> sample_and_log_prob(Index n, Engine& engine,
                                                                  MatrixView<const T> context_row = {},
                                                                  Run run = {}) const {
    SamplesAndLogProb<T> result{Matrix<T>(checked_count("sample_and_log_prob", n), dim()), Eigen::VectorXd(n)};
    draw_into(result.samples, result.log_prob, engine, context_row, false, run);
    return result;
  }
  template <Place P>
  [[gnu::always_inline]] SamplesAndLogProb<T> sample_and_log_prob(Index n, Engine& engine, P&& where) const {
    return sample_and_log_prob(n, engine, {}, where);
  }
  void sample_into(MatrixView<T> out, Engine& engine, MatrixView<const T> context_row = {}, Run run = {}) const {
    draw_into(out, {}, engine, context_row, false, run);
  }
  template <Place P>
  void sample_into(MatrixView<T> out, Engine& engine, P&& where) const {
    sample_into(out, engine, {}, where);
  }

  // ---- prefixes: the first columns of `triangular_order()`, the others integrated out exactly
  /// The columns in an order in which each is drawn given those before it; empty: independent columns, any order.
  /// @throws NotImplemented  naming the part that has no such order.
  std::vector<std::int64_t> triangular_order() const { return prefixes().do_triangular_order(); }
  /// log p(y_1, ..., y_k) of the first k columns of the order, for prefixes of shape (N, k), 1 <= k <= dim().
  [[gnu::always_inline]] Eigen::VectorXd prefix_log_prob(MatrixView<const T> prefix, MatrixView<const T> context = {},
                                                         Run run = {}) const {
    Eigen::VectorXd result(prefix.rows());
    prefix_log_prob_into(prefix, result, context, run);
    return result;
  }
  template <Place P>
  [[gnu::always_inline]] Eigen::VectorXd prefix_log_prob(MatrixView<const T> prefix, P&& where) const {
    return prefix_log_prob(prefix, {}, where);
  }
  void prefix_log_prob_into(MatrixView<const T> prefix, VectorView<double> out, MatrixView<const T> context = {},
                            Run run = {}) const;
  /// A draw of all columns for each row of `prefix`, (N, k), given its values: exact, (N, dim). The prefix itself comes
  /// back unchanged in its columns. NaN where the prefix lies outside the support.
  [[gnu::always_inline]] Matrix<T> sample_given_prefix(MatrixView<const T> prefix, Engine& engine,
                                                       MatrixView<const T> context = {}, Run run = {}) const {
    Matrix<T> result(prefix.rows(), dim());
    sample_given_prefix_into(prefix, result, engine, context, run);
    return result;
  }
  template <Place P>
  [[gnu::always_inline]] Matrix<T> sample_given_prefix(MatrixView<const T> prefix, Engine& engine, P&& where) const {
    return sample_given_prefix(prefix, engine, {}, where);
  }
  void sample_given_prefix_into(MatrixView<const T> prefix, MatrixView<T> out, Engine& engine,
                                MatrixView<const T> context = {}, Run run = {}) const;
  /// The same on a tape; `columns` are the first of triangular_order(), `y` those columns alone.
  Column<T> marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const;
  Var<T> sample_given(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const;

  // ---- moments; (dim) each. What a class cannot give throws NotImplemented with the reason.
  [[gnu::always_inline]] Eigen::VectorXd mean() const {
    Eigen::VectorXd result(dim());
    mean_into(result);
    return result;
  }
  [[gnu::always_inline]] Eigen::VectorXd variance() const {
    Eigen::VectorXd result(dim());
    variance_into(result);
    return result;
  }
  [[gnu::always_inline]] Eigen::VectorXd stddev() const { return variance().cwiseSqrt(); }
  [[gnu::always_inline]] Eigen::MatrixXd covariance() const {
    Eigen::MatrixXd result(dim(), dim());
    covariance_into(result);
    return result;
  }
  [[gnu::always_inline]] Eigen::VectorXd mode() const {
    Eigen::VectorXd result(dim());
    mode_into(result);
    return result;
  }
  void mean_into(VectorView<double> out) const;
  void variance_into(VectorView<double> out) const;
  void mode_into(VectorView<double> out) const;
  void covariance_into(MatrixView<double> out) const;
  double entropy() const { return do_entropy(); }
  /// KL(this || other) in nats where a closed form is known for the pair.
  /// @throws ShapeError  if the dimensions differ.
  std::optional<double> exact_kl_divergence(const Distribution& other) const;

  // ---- elementwise families: one value per element, (N, dim), accurate in both tails
  enum class Tail { cdf, survival, log_cdf, log_survival };
  [[gnu::always_inline]] Matrix<double> tail(Tail tail, MatrixView<const T> y) const {
    Matrix<double> out(y.rows(), y.cols());
    tail_into(tail, y, out);
    return out;
  }
  [[gnu::always_inline]] Matrix<double> cdf(MatrixView<const T> y) const { return tail(Tail::cdf, y); }
  [[gnu::always_inline]] Matrix<double> survival(MatrixView<const T> y) const { return tail(Tail::survival, y); }
  [[gnu::always_inline]] Matrix<double> log_cdf(MatrixView<const T> y) const { return tail(Tail::log_cdf, y); }
  [[gnu::always_inline]] Matrix<double> log_survival(MatrixView<const T> y) const {
    return tail(Tail::log_survival, y);
  }
  /// @throws DomainError  for a probability outside [0, 1].
  [[gnu::always_inline]] Matrix<double> quantile(MatrixView<const double> p) const {
    Matrix<double> out(p.rows(), p.cols());
    quantile_into(p, out);
    return out;
  }
  /// The point whose survival function is q: accurate for q near 0.
  [[gnu::always_inline]] Matrix<double> quantile_complement(MatrixView<const double> q) const {
    Matrix<double> out(q.rows(), q.cols());
    quantile_into(q, out, true);
    return out;
  }
  void tail_into(Tail tail, MatrixView<const T> y, MatrixView<double> out) const;
  /// With `complement` of survival functions.
  void quantile_into(MatrixView<const double> p, MatrixView<double> out, bool complement = false) const;

  // ---- properties
  Index dim() const { return dim_; }
  const std::vector<Index>& event_shape() const { return event_shape_; }
  Index context_dim() const { return context_dim_; }
  /// Gradients flow through samples.
  bool is_reparameterized() const { return do_is_reparameterized(); }
  /// The set where the density is positive; densities are with respect to the measure that it names.
  Space support() const { return do_support(); }
  /// What the draws of a stochastic density say about it.
  Estimate estimates() const { return do_estimates(); }

 protected:
  Distribution(std::string name, Index dim, Index context_dim = 0)
      : Distribution(std::move(name), std::vector<Index>{dim}, context_dim) {}
  Distribution(std::string name, std::vector<Index> event_shape, Index context_dim = 0);
  /// Without a shape, to be restored.
  explicit Distribution(std::string name) : Component<T>(std::move(name)) {}
  /// The field "dim", where the number of columns is a constant of its own; restoring, gives the object its shape.
  void dim_field(Fields<T>& f, Index most = Index{1} << 20);
  /// For `do_restored`, where the shape follows from constants or parts.
  void set_shape(std::vector<Index> event_shape, Index context_dim = 0);

  /// To be thrown: says which call of which class, and why.
  NotImplemented not_implemented(std::string_view what, std::string_view reason) const;

 private:
  virtual Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const = 0;
  virtual Var<T> do_sample(Pass<T>& pass) const = 0;
  /// Default: none.
  virtual bool do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const;
  /// Default: samples, then log_prob of the samples.
  virtual Drawn<T> do_sample_and_log_prob(Pass<T>& pass) const;
  /// Null: none.
  virtual const Prefixes<T>* do_prefixes() const { return nullptr; }
  /// Of a density that draws inside log_prob.
  virtual Estimate do_estimates() const { return Estimate::exact; }
  virtual bool do_is_reparameterized() const { return true; }
  virtual Space do_support() const { return Space::real(dim_); }
  // Moments: outputs have the right size. The default covariance is diagonal.
  virtual void do_mean(VectorView<double> mean) const;
  virtual void do_variance(VectorView<double> variance) const;
  virtual void do_covariance(MatrixView<double> covariance) const;
  virtual void do_mode(VectorView<double> mode) const;
  virtual double do_entropy() const;
  /// KL(this || other) in nats where a closed form is known to this class.
  virtual std::optional<double> do_kl_divergence(const Distribution& other) const;
  /// Elementwise families, (N, dim) at once; y is finite or infinite, p in [0, 1].
  virtual void do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const;
  virtual void do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const;

  /// @throws NotImplemented  if there are none.
  const Prefixes<T>& prefixes() const;
  void estimate_into(MatrixView<const T> y, Engine& engine, Index draws, VectorView<double> value,
                     VectorView<double> standard_error, MatrixView<const T> context, Run run) const;
  std::vector<std::int64_t> prefix_columns(const char* call, Index count) const;
  Index checked_count(const char* call, Index samples) const;
  void draw_into(MatrixView<T> samples, VectorView<double> log_prob, Engine& engine, MatrixView<const T> context,
                 bool each, Run run) const;

  Index dim_ = 0;
  Index context_dim_ = 0;
  std::vector<Index> event_shape_;
};

/// KL(p || q) in nats.
struct KlDivergence {
  double value = 0;
  double standard_error = 0;  ///< 0 where the value is exact
  bool exact = false;
};
/// Exact where a closed form is known for the pair, else the mean of log p - log q over n samples of p. Of stochastic
/// densities whose draws estimate the logarithm, the mean over draws as well.
/// @throws ShapeError      if the dimensions differ.
/// @throws NotImplemented  if draws of p or q estimate the density itself: the mean of their logarithms is biased.
template <Scalar T>
KlDivergence kl_divergence(const Distribution<T>& p, const Distribution<T>& q, Engine& engine, Index n = 100000);
/// The closed form. @throws NotImplemented  if none is known for the pair.
template <Scalar T>
double kl_divergence(const Distribution<T>& p, const Distribution<T>& q);

extern template class Distribution<float>;
extern template class Distribution<double>;

}  // namespace pushforward
