#include <algorithm>
#include <cmath>
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
const Distribution<T>* TransformedDistribution<T>::latent_base() const {
  return bijector_->estimates() == Estimate::exact ? pushforward::latent_base(*base_) : nullptr;
}

template <Scalar T>
Var<T> TransformedDistribution<T>::latent(Pass<T>& pass, Var<T> y) const {
  return pushforward::latent(*base_, pass, bijector_->inverse(pass, y).value);
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
  for (Index c = 0; c < this->dim(); ++c) row.node()->value[c] = static_cast<T>(support[c].inside());
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

namespace {

/// That which a decreasing map turns it into.
template <class Tail>
Tail mirrored(Tail tail) {
  switch (tail) {
    case Tail::cdf:
      return Tail::survival;
    case Tail::survival:
      return Tail::cdf;
    case Tail::log_cdf:
      return Tail::log_survival;
    case Tail::log_survival:
      break;
  }
  return Tail::log_cdf;
}

/// f(mirror, out) into the columns of `out` that increase, and those that decrease, at most once for each of the two.
template <class F>
void by_direction(const std::vector<bool>& increasing, MatrixView<double> out, F f) {
  const bool some_increase = std::find(increasing.begin(), increasing.end(), true) != increasing.end();
  const bool some_decrease = std::find(increasing.begin(), increasing.end(), false) != increasing.end();
  f(!some_increase, out);
  if (!some_increase || !some_decrease) return;
  Matrix<double> mirror(out.rows(), out.cols());
  f(true, mirror);
  for (Index c = 0; c < out.cols(); ++c)
    if (!increasing[static_cast<std::size_t>(c)])
      for (Index i = 0; i < out.rows(); ++i) out(i, c) = mirror(i, c);
}

}  // namespace

template <Scalar T>
void TransformedDistribution<T>::do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const {
  if (!bijector_->is_elementwise() || this->context_dim() != 0)
    throw this->not_implemented("cdf", "known only for an elementwise bijector without context");
  const std::vector<bool> increasing = bijector_->is_increasing();
  const Space support = do_support(), base = base_->support();
  // Where y lies at an end, or beyond: -1 below, 1 above. There a point inside the codomain stands in for it.
  const auto end_at = [&](Index i, Index c) {
    const Interval range = support[c];
    const double v = static_cast<double>(y(i, c));
    return v <= range.low ? -1 : v >= range.high ? 1 : 0;
  };
  Matrix<T> rows(y.rows(), y.cols());
  Matrix<signed char> end(y.rows(), y.cols());
  bool some_end = false;
  for (Index c = 0; c < y.cols(); ++c)
    for (Index i = 0; i < y.rows(); ++i) {
      rows(i, c) = y(i, c);
      end(i, c) = static_cast<signed char>(end_at(i, c));
      some_end = some_end || end(i, c) != 0;
    }
  if (some_end) {
    const Matrix<double> half = Matrix<double>::Constant(1, this->dim(), 0.5);
    const Eigen::VectorXd inside = forward_point(*bijector_, base_->quantile(half).row(0));
    for (Index c = 0; c < y.cols(); ++c)
      for (Index i = 0; i < y.rows(); ++i)
        if (end(i, c) != 0) rows(i, c) = static_cast<T>(inside[c]);
  }
  Matrix<T> x = bijector_->inverse(rows).value;
  if (some_end)
    for (Index c = 0; c < y.cols(); ++c) {
      const Interval range = base[c];
      for (Index i = 0; i < y.rows(); ++i)
        if (end(i, c) != 0)
          x(i, c) = static_cast<T>((end(i, c) < 0) == increasing[static_cast<std::size_t>(c)] ? range.low : range.high);
    }
  by_direction(increasing, out, [&](bool mirror, MatrixView<double> result) {
    base_->tail_into(mirror ? mirrored(tail) : tail, x, result);
  });
}

namespace {

/// The quantiles of 0 and 1, for each column. A support that is not known may have gaps; its ends are where the map
/// takes those of the base all the same.
template <Scalar T>
std::vector<Interval> quantile_ends(const TransformedDistribution<T>& d) {
  Space range = d.support();
  if (range.is_box()) return range.bounds();
  Matrix<double> p(2, d.dim());
  p.row(0).setZero();
  p.row(1).setOnes();
  const Matrix<double> x = d.base().quantile(p);
  if ((x.row(0).array() < x.row(1).array()).all()) {
    std::vector<Interval> ends;
    for (Index c = 0; c < x.cols(); ++c) ends.push_back({x(0, c), x(1, c)});
    range = d.bijector().image(Space::box(std::move(ends)));
    if (range.is_box()) return range.bounds();
  }
  throw NotImplemented(d.name() + "::quantile: where " + d.bijector().name() + " takes the ends of " +
                       d.base().name() + " is not known; ask for probabilities other than 0 and 1");
}

}  // namespace

template <Scalar T>
void TransformedDistribution<T>::do_quantiles(bool complement, MatrixView<const double> p,
                                              MatrixView<double> out) const {
  if (!bijector_->is_elementwise() || this->context_dim() != 0)
    throw this->not_implemented("quantile", "known only for an elementwise bijector without context");
  const auto is_end = [&](Index i, Index c) { return p(i, c) == 0 || p(i, c) == 1; };
  bool some_end = false;
  for (Index c = 0; c < p.cols(); ++c)
    for (Index i = 0; i < p.rows(); ++i) some_end = some_end || is_end(i, c);
  const std::vector<Interval> ends = some_end ? quantile_ends(*this) : std::vector<Interval>();
  Matrix<double> probability(p.rows(), p.cols()), x(p.rows(), p.cols());
  for (Index c = 0; c < p.cols(); ++c)
    for (Index i = 0; i < p.rows(); ++i) probability(i, c) = is_end(i, c) ? 0.5 : p(i, c);
  by_direction(bijector_->is_increasing(), x, [&](bool mirror, MatrixView<double> result) {
    base_->quantile_into(probability, result, complement != mirror);
  });
  const Matrix<T> y = bijector_->forward(Matrix<T>(x.template cast<T>())).value;
  for (Index c = 0; c < p.cols(); ++c)
    for (Index i = 0; i < p.rows(); ++i)
      out(i, c) = !is_end(i, c)                  ? static_cast<double>(y(i, c))
                  : (p(i, c) == 0) != complement ? ends[static_cast<std::size_t>(c)].low
                                                 : ends[static_cast<std::size_t>(c)].high;
}

template class TransformedDistribution<float>;
template class TransformedDistribution<double>;

}  // namespace pushforward
