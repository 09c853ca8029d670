#include <pushforward/distributions/multivariate_normal_tril.hpp>

#include <cmath>
#include <limits>

#include <pushforward/error.hpp>

#include "distributions/gaussian.hpp"
#include "src/numerics/constants.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MultivariateNormalTriL<T>::MultivariateNormalTriL(Index dim) : LocationScaleTriL<T>("MultivariateNormalTriL", dim) {}
template <Scalar T>
MultivariateNormalTriL<T>::MultivariateNormalTriL(VectorView<const T> loc, MatrixView<const T> scale_tril)
    : LocationScaleTriL<T>("MultivariateNormalTriL", loc, scale_tril) {}
template <Scalar T>
Column<T> MultivariateNormalTriL<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  const double dim = static_cast<double>(this->dim());
  return scale_shift(row_sum_of_squares(this->whiten(pass, y)), -0.5, -0.5 * dim * log_2_pi) -
         this->log_det_scale(pass);
}
template <Scalar T>
Var<T> MultivariateNormalTriL<T>::do_sample(Pass<T>& pass) const {
  return this->colour(pass, pass.normal(this->dim()));
}
template <Scalar T>
double MultivariateNormalTriL<T>::do_entropy() const {
  return 0.5 * static_cast<double>(this->dim()) * (log_2_pi + 1) + this->log_det_scale();
}
template <Scalar T>
std::optional<double> MultivariateNormalTriL<T>::do_kl_divergence(const Distribution<T>& other) const {
  return gaussian_kl<T>(*this, other);
}
template <Scalar T>
void MultivariateNormalTriL<T>::do_fields(Fields<T>& f) {
  f.type("multivariate_normal_tril");
  LocationScaleTriL<T>::do_fields(f);
}

// ------------------------------------------------------------------------------------------------------------ fit

namespace {

// In place, the lower triangle of a correlation matrix becomes its Cholesky factor. Returns the first row whose pivot
// is lost in rounding errors, or -1.
Index factor_correlation(Eigen::MatrixXd& m) {
  const Index dim = m.rows();
  const double smallest = 16 * static_cast<double>(dim) * std::numeric_limits<double>::epsilon();
  for (Index i = 0; i < dim; ++i) {
    for (Index j = 0; j < i; ++j) m(i, j) = (m(i, j) - m.row(i).head(j).dot(m.row(j).head(j))) / m(j, j);
    const double pivot = m(i, i) - m.row(i).head(i).squaredNorm();
    if (!(pivot > smallest)) return i;
    m(i, i) = std::sqrt(pivot);
  }
  return -1;
}

}  // namespace

template <Scalar T>
MultivariateNormalTriL<T> MultivariateNormalTriL<T>::fit(MatrixView<const T> data, VectorView<const double> weights,
                                                         double ridge) {
  const std::string where = "MultivariateNormalTriL::fit";
  const Index rows = data.rows(), dim = data.cols();
  if (dim == 0) throw ShapeError(where + ": expected at least one column, got none");
  if (!weights.empty() && weights.size() != rows)
    throw ShapeError(where + ": data has " + std::to_string(rows) + " rows but weights has " +
                     std::to_string(weights.size()) + " values");
  if (!(ridge >= 0) || !std::isfinite(ridge))
    throw DomainError(where + ": ridge must be at least 0 and finite, got " + std::to_string(ridge));

  const auto weight = [&](Index i) { return weights.empty() ? 1.0 : weights[i]; };
  double total = 0;
  Index used = 0;
  for (Index i = 0; i < rows; ++i) {
    if (!(weight(i) >= 0) || !std::isfinite(weight(i)))
      throw DomainError(where + ": weights must be at least 0 and finite, got " + std::to_string(weight(i)) +
                        " in row " + std::to_string(i));
    total += weight(i);
    used += weight(i) > 0;
    for (Index c = 0; c < dim; ++c)
      if (!std::isfinite(data(i, c)))
        throw DomainError(where + ": data must be finite, got " + std::to_string(data(i, c)) + " in row " +
                          std::to_string(i) + ", column " + std::to_string(c));
  }
  if (used == 0) throw DomainError(where + ": expected at least one row with a positive weight, got none");
  if (ridge == 0 && used <= dim)
    throw DomainError(where + ": the covariance is not positive definite: " + std::to_string(used) +
                      " rows cannot span " + std::to_string(dim) + " columns around their mean; pass a ridge");

  // In two passes, shifted by the first row: values far from 0 keep their digits.
  Eigen::VectorXd mean = Eigen::VectorXd::Zero(dim), row(dim);
  const auto load_row = [&](Index i) {
    for (Index c = 0; c < dim; ++c) row[c] = static_cast<double>(data(i, c)) - static_cast<double>(data(0, c));
  };
  for (Index i = 0; i < rows; ++i) {
    load_row(i);
    mean += weight(i) / total * row;
  }
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(dim, dim);
  for (Index i = 0; i < rows; ++i) {
    load_row(i);
    row -= mean;
    covariance.template selfadjointView<Eigen::Lower>().rankUpdate(row, weight(i) / total);
  }
  for (Index c = 0; c < dim; ++c) {
    // Deviations from the first row are exact zeros in a constant column.
    if (ridge == 0 && !(covariance(c, c) > 0))
      throw DomainError(where + ": the covariance is not positive definite: column " + std::to_string(c) +
                        " is constant; drop it or pass a ridge");
    mean[c] += static_cast<double>(data(0, c));
    covariance(c, c) += ridge;
  }

  // Factored as a correlation, so that the units of the columns do not matter.
  const Eigen::VectorXd deviation = covariance.diagonal().cwiseSqrt();
  for (Index i = 0; i < dim; ++i)
    for (Index j = 0; j <= i; ++j) covariance(i, j) = i == j ? 1.0 : covariance(i, j) / deviation[i] / deviation[j];
  if (const Index bad = factor_correlation(covariance); bad >= 0)
    throw DomainError(where + ": the covariance is not positive definite: column " + std::to_string(bad) +
                      " depends linearly on the columns before it; drop it or pass a ridge");

  Tensor<T> loc({dim}), scale({dim, dim});
  for (Index i = 0; i < dim; ++i) {
    loc[i] = static_cast<T>(mean[i]);
    for (Index j = 0; j <= i; ++j) scale(i, j) = static_cast<T>(deviation[i] * covariance(i, j));
  }
  return MultivariateNormalTriL(VectorView<const T>(loc.values()), std::as_const(scale).matrix());
}

template class MultivariateNormalTriL<float>;
template class MultivariateNormalTriL<double>;

}  // namespace pushforward
