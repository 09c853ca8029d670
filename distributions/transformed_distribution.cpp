#include <cmath>
#include <limits>
#include <pushforward/distributions/transformed_distribution.hpp>

namespace pushforward {

template <Scalar T>
TransformedDistribution<T>::TransformedDistribution(Poly<Distribution<T>> base, Poly<Bijector<T>> bijector)
    : Distribution<T>("TransformedDistribution"), base_(std::move(base)), bijector_(std::move(bijector)) {
  join(true);
}

template <Scalar T>
void TransformedDistribution<T>::do_fields(Fields<T>& f) {
  f.type("transformed_distribution");
  f.part("base", base_);
  f.part("bijector", bijector_);
}

template <Scalar T>
void TransformedDistribution<T>::join(bool parameters_known) {
  if (base_->dim() != bijector_->base_dim())
    throw ShapeError("TransformedDistribution: base " + base_->name() + " has dim " + std::to_string(base_->dim()) +
                     " but bijector " + bijector_->name() + " has dim " + std::to_string(bijector_->base_dim()));
  if (base_->context_dim() != 0 && bijector_->context_dim() != 0 && base_->context_dim() != bijector_->context_dim())
    throw ShapeError("TransformedDistribution: base " + base_->name() + " takes " +
                     std::to_string(base_->context_dim()) + " context columns but bijector " + bijector_->name() +
                     " takes " + std::to_string(bijector_->context_dim()));
  // Before the values of the parameters are there, only what holds for all of them can be told.
  const Space support = base_->support(), domain = bijector_->domain();
  if (parameters_known ? !domain.holds(support) : !domain.meets(support))
    throw DomainError("TransformedDistribution: base " + base_->name() + " lives on " + support.to_text() +
                      " but bijector " + bijector_->name() + " maps from " + domain.to_text());
  this->set_name("TransformedDistribution(" + base_->name() + ", " + bijector_->name() + ")");
  this->set_shape(bijector_->event_shape(), std::max(base_->context_dim(), bijector_->context_dim()));
}

template <Scalar T>
Column<T> TransformedDistribution<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  const Mapped<T> mapped = bijector_->inverse(pass, y);
  return base_->log_prob(pass, mapped.value) + mapped.log_det;
}

template <Scalar T>
bool TransformedDistribution<T>::do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const {
  return base_->propose_start(pass, bijector_->inverse(pass, y).value, weights);
}

template <Scalar T>
Var<T> TransformedDistribution<T>::do_sample(Pass<T>& pass) const {
  return bijector_->forward(pass, base_->sample(pass)).value;
}

template <Scalar T>
std::vector<std::int64_t> TransformedDistribution<T>::do_triangular_order() const {
  return common_order(this->name(), base_->triangular_order(), bijector_->triangular_order());
}

template <Scalar T>
Var<T> TransformedDistribution<T>::completed(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const {
  Tape<T>& tape = pass.tape();
  const Var<T> row = tape.shared(1, this->dim(), false);
  const Space support = do_support();
  if (!support.is_box())
    throw this->not_implemented("prefix", "its support is " + support.to_text() + ", so prefixes have none of their own");
  for (Index c = 0; c < this->dim(); ++c) {
    const auto [low, high] = support[c];
    const bool below = std::isfinite(low), above = std::isfinite(high);
    row.node()->value[c] = static_cast<T>(below && above ? low + (high - low) / 2
                                          : below        ? low + 1
                                          : above        ? high - 1
                                                         : 0);
  }
  return replace_columns(spread(tape, row), y, columns);
}

// Those columns of x, and their derivatives, depend on those columns of y alone.
template <Scalar T>
Column<T> TransformedDistribution<T>::do_marginal_log_prob(Pass<T>& pass, Var<T> y,
                                                           std::span<const std::int64_t> columns) const {
  const Var<T> whole = completed(pass, y, columns);
  const Var<T> log_derivative = bijector_->log_derivative(false, pass, whole);
  const Var<T> x = gather_columns(bijector_->inverse(pass, whole).value, columns);
  const Column<T> base = base_->marginal_log_prob(pass, x, columns);
  return log_derivative ? base + row_sum(gather_columns(log_derivative, columns)) : base;
}

template <Scalar T>
Var<T> TransformedDistribution<T>::do_sample_given(Pass<T>& pass, Var<T> y,
                                                   std::span<const std::int64_t> columns) const {
  const Var<T> x = gather_columns(bijector_->inverse(pass, completed(pass, y, columns)).value, columns);
  return replace_columns(bijector_->forward(pass, base_->sample_given(pass, x, columns)).value, y, columns);
}

template <Scalar T>
Drawn<T> TransformedDistribution<T>::do_sample_and_log_prob(Pass<T>& pass) const {
  const Drawn<T> drawn = base_->sample_and_log_prob(pass);
  const Mapped<T> mapped = bijector_->forward(pass, drawn.value);
  return {mapped.value, drawn.log_prob - mapped.log_det};
}

template <Scalar T>
Space TransformedDistribution<T>::do_support() const {
  return bijector_->image(base_->support());
}

// Closed forms exist where the map is affine: with a constant Jacobian J, forward(x) = forward(0) + J x.

namespace {

template <Scalar T>
Eigen::VectorXd forward_point(const Bijector<T>& bijector, const Eigen::VectorXd& x) {
  const Matrix<T> row = x.transpose().template cast<T>();
  return bijector.forward(row).value.row(0).template cast<double>();
}

template <Scalar T>
Eigen::MatrixXd affine_jacobian(const Bijector<T>& bijector) {
  const Index dim = bijector.dim();
  Matrix<T> points = Matrix<T>::Zero(dim + 1, dim);
  points.bottomRows(dim).setIdentity();
  const Eigen::MatrixXd images = bijector.forward(points).value.template cast<double>();
  return (images.bottomRows(dim).rowwise() - images.row(0)).transpose();
}

}  // namespace

template <Scalar T>
void TransformedDistribution<T>::do_mean(VectorView<double> mean) const {
  if (!bijector_->is_constant_jacobian() || this->context_dim() != 0)
    throw this->not_implemented("mean", "known only for an affine bijector without context; average over samples");
  as_eigen(mean) = forward_point(*bijector_, base_->mean());
}
template <Scalar T>
void TransformedDistribution<T>::do_covariance(MatrixView<double> covariance) const {
  if (!bijector_->is_constant_jacobian() || this->context_dim() != 0)
    throw this->not_implemented("covariance",
                                "known only for an affine bijector without context; estimate it from samples");
  const Eigen::MatrixXd jacobian = affine_jacobian(*bijector_);
  as_eigen(covariance) = jacobian * base_->covariance() * jacobian.transpose();
}
template <Scalar T>
void TransformedDistribution<T>::do_variance(VectorView<double> variance) const {
  Eigen::MatrixXd covariance(this->dim(), this->dim());
  do_covariance(covariance);
  as_eigen(variance) = covariance.diagonal();
}
template <Scalar T>
void TransformedDistribution<T>::do_mode(VectorView<double> mode) const {
  if (!bijector_->is_constant_log_det() || this->context_dim() != 0)
    throw this->not_implemented("mode", "known only where the log_det is constant; maximise log_prob");
  as_eigen(mode) = forward_point(*bijector_, base_->mode());
}
template <Scalar T>
double TransformedDistribution<T>::do_entropy() const {
  if (!bijector_->is_constant_log_det() || this->context_dim() != 0)
    throw this->not_implemented("entropy", "known only where the log_det is constant; average -log_prob over samples");
  const Matrix<T> origin = Matrix<T>::Zero(1, bijector_->base_dim());
  return base_->entropy() + bijector_->forward(origin).log_det[0];
}

template <Scalar T>
double TransformedDistribution<T>::do_tail(typename Distribution<T>::Tail tail, double y, Index column) const {
  using Tail = typename Distribution<T>::Tail;
  if (!bijector_->is_elementwise() || this->context_dim() != 0)
    throw this->not_implemented("cdf", "known only for an elementwise bijector without context");
  const bool increasing = bijector_->is_increasing()[static_cast<std::size_t>(column)];
  const Interval range = do_support()[column];
  double x;
  if (y <= range.low || y >= range.high) {
    const Interval base = base_->support()[column];
    x = (y <= range.low) == increasing ? base.low : base.high;
  } else {
    // A row inside the codomain; only its column counts.
    const Matrix<double> half = Matrix<double>::Constant(1, this->dim(), 0.5);
    Matrix<T> row = forward_point(*bijector_, base_->quantile(half).row(0)).transpose().template cast<T>();
    row(0, column) = static_cast<T>(y);
    x = static_cast<double>(bijector_->inverse(row).value(0, column));
  }
  Matrix<T> at = Matrix<T>::Zero(1, this->dim());
  at(0, column) = static_cast<T>(x);
  switch (tail) {
    case Tail::cdf:
      return (increasing ? base_->cdf(at) : base_->survival(at))(0, column);
    case Tail::survival:
      return (increasing ? base_->survival(at) : base_->cdf(at))(0, column);
    case Tail::log_cdf:
      return (increasing ? base_->log_cdf(at) : base_->log_survival(at))(0, column);
    case Tail::log_survival:
      return (increasing ? base_->log_survival(at) : base_->log_cdf(at))(0, column);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

template <Scalar T>
double TransformedDistribution<T>::do_quantile(double p, bool complement, Index column) const {
  if (!bijector_->is_elementwise() || this->context_dim() != 0)
    throw this->not_implemented("quantile", "known only for an elementwise bijector without context");
  const bool increasing = bijector_->is_increasing()[static_cast<std::size_t>(column)];
  if (p == 0 || p == 1) {
    const Interval range = do_support()[column];
    return (p == 0) != complement ? range.low : range.high;
  }
  Matrix<double> probability = Matrix<double>::Constant(1, this->dim(), 0.5);
  probability(0, column) = p;
  const Matrix<double> x =
      complement == increasing ? base_->quantile_complement(probability) : base_->quantile(probability);
  return forward_point(*bijector_, x.row(0))[column];
}

template class TransformedDistribution<float>;
template class TransformedDistribution<double>;

}  // namespace pushforward
