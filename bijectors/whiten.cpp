#include <pushforward/bijectors/whiten.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include "src/core/column_order.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

template <Scalar T>
Whiten<T>::Whiten(Index dim) : Bijector<T>("Whiten", dim), lower_({dim, dim}), diagonal_({dim}, T(1)) {}

template <Scalar T>
Whiten<T>::Whiten(MatrixView<const double> scale_tril) : Whiten(scale_tril.rows()) {
  if (scale_tril.rows() != scale_tril.cols())
    throw ShapeError("Whiten: expected a square scale_tril, got (" + std::to_string(scale_tril.rows()) + ", " +
                     std::to_string(scale_tril.cols()) + ")");
  for (Index i = 0; i < this->dim(); ++i)
    for (Index j = 0; j <= i; ++j) {
      T& own = i == j ? diagonal_[i] : lower_(i, j);
      own = static_cast<T>(scale_tril(i, j));
      if (!std::isfinite(own) || (i == j && !(own > T(0))))
        throw DomainError("Whiten: expected a finite scale_tril with a diagonal above 0, got " +
                          detail::number_text(scale_tril(i, j)) + " at (" + std::to_string(i) + ", " +
                          std::to_string(j) + ")");
    }
}

namespace {

/// Columns of mean 0 and mean square 1, of which those that do not vary are 0; their scales; how many rows of equal
/// weight say as much.
struct Columns {
  Eigen::MatrixXd values;
  Eigen::VectorXd scale;
  double rows = 0;
};

template <Scalar T>
Columns standardised(MatrixView<const T> data, VectorView<const double> weights) {
  const Index n = data.rows(), dim = data.cols();
  Eigen::VectorXd w = Eigen::VectorXd::Ones(n);
  for (Index i = 0; i < weights.size(); ++i) w[i] = weights[i];
  const double total = w.sum();
  if (!(total > 0) || !std::isfinite(total)) throw DomainError("Whiten::of: the weights must sum to a positive number");
  w /= total;
  Columns c{Eigen::MatrixXd(n, dim), Eigen::VectorXd::Ones(dim), 1 / w.squaredNorm()};
  for (Index j = 0; j < dim; ++j) {
    for (Index i = 0; i < n; ++i) {
      c.values(i, j) = static_cast<double>(data(i, j));
      if (!std::isfinite(c.values(i, j)))
        throw DomainError("Whiten::of: row " + std::to_string(i) + ", column " + std::to_string(j) + " is not finite");
    }
    // By the largest magnitude first, so that squares do not overflow.
    const double first = c.values(0, j), largest = (c.values.col(j).array() - first).abs().maxCoeff();
    if (!(largest > 0)) {
      c.values.col(j).setZero();
      continue;
    }
    c.values.col(j) = (c.values.col(j).array() - first) / largest;
    c.values.col(j).array() -= c.values.col(j).dot(w);
    const double deviation = std::sqrt(c.values.col(j).cwiseAbs2().dot(w));
    c.scale[j] = deviation * largest;
    // So that a product of two columns is their correlation.
    c.values.col(j) = (c.values.col(j).array() * w.array().sqrt()) / deviation;
  }
  return c;
}

}  // namespace

template <Scalar T>
Whiten<T> Whiten<T>::of(MatrixView<const T> data, VectorView<const double> weights) {
  const Index dim = data.cols();
  if (weights.size() != 0 && weights.size() != data.rows())
    throw ShapeError("Whiten::of: expected " + std::to_string(data.rows()) + " weights, got " +
                     std::to_string(weights.size()));
  if (data.rows() == 0) throw DomainError("Whiten::of: there are no rows to compute a covariance from");
  const Columns columns = standardised(data, weights);
  constexpr double smallest = 1e-10;  // of the part of a variance that other columns do not explain
  constexpr Index most = 1000;
  const Index predictors = std::min({dim, most, static_cast<Index>(columns.rows / 2)});
  const auto earlier = columns.values.leftCols(predictors);

  // Column i by its regression on those before it, x_i = s b'x + sigma z_i. `factor` is the Cholesky factor of the
  // correlations of the predictors, `lower` collects L of x = L z.
  Eigen::MatrixXd factor = Eigen::MatrixXd::Zero(predictors, predictors), lower = Eigen::MatrixXd::Zero(dim, dim);
  for (Index i = 0; i < dim; ++i) {
    const Index p = std::min(i, predictors);
    Eigen::VectorXd fitted = earlier.leftCols(p).transpose() * columns.values.col(i);
    factor.topLeftCorner(p, p).triangularView<Eigen::Lower>().solveInPlace(fitted);
    const double explained = std::min(fitted.squaredNorm(), 1.0), rest = std::max(1 - explained, smallest);
    if (i < predictors) {
      factor.row(i).head(i) = fitted.transpose();
      factor(i, i) = std::sqrt(rest);
    }
    const double freedom = columns.rows - static_cast<double>(p) - 1;
    double shrink = 0;
    if (p > 0 && freedom > 0 && explained > 0)
      shrink = std::clamp(1 - static_cast<double>(p) * rest / (freedom * explained), 0.0, 1.0);
    const double variance = rest * (shrink > 0 ? columns.rows / freedom : 1) + (1 - shrink) * (1 - shrink) * explained;
    factor.topLeftCorner(p, p).triangularView<Eigen::Lower>().transpose().solveInPlace(fitted);
    lower.row(i).head(p) = shrink * fitted.transpose() * lower.topLeftCorner(p, p);
    lower(i, i) = std::sqrt(variance);
  }
  lower = columns.scale.asDiagonal() * lower;
  return Whiten(MatrixView<const double>(lower));
}

template <Scalar T>
Mapped<T> Whiten<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Var<T> diagonal = pass.parameter(diagonal_);
  return {triangular_multiply(x, pass.parameter(lower_), diagonal, true), row_sum(log(diagonal))};
}

template <Scalar T>
Mapped<T> Whiten<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Var<T> diagonal = pass.parameter(diagonal_);
  return {triangular_solve(y, pass.parameter(lower_), diagonal, true), row_sum(-log(diagonal))};
}

template <Scalar T>
Var<T> Whiten<T>::do_log_derivative(bool forward, Pass<T>& pass, Var<T>) const {
  const Var<T> log_diagonal = log(pass.parameter(diagonal_));
  return forward ? log_diagonal : -log_diagonal;
}

template <Scalar T>
std::vector<std::int64_t> Whiten<T>::do_triangular_order() const {
  return detail::standing_order(this->dim());
}

template <Scalar T>
void Whiten<T>::do_fields(Fields<T>& f) {
  f.type("whiten");
  this->dim_field(f);
  f.state("lower", lower_, {this->dim(), this->dim()});
  f.state("diagonal", diagonal_, {this->dim()}, {.positive = true});
}

template class Whiten<float>;
template class Whiten<double>;

}  // namespace pushforward
