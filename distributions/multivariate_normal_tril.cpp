#include <pushforward/distributions/multivariate_normal_tril.hpp>

#include <cmath>
#include <limits>

#include <pushforward/error.hpp>

#include "distributions/gaussian.hpp"
#include "src/core/number_text.hpp"
#include "src/numerics/constants.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MultivariateNormalTriL<T>::MultivariateNormalTriL(Index dim)
    : LocationScaleTriL<T>("MultivariateNormalTriL", dim), standard_(dim) {}
template <Scalar T>
MultivariateNormalTriL<T>::MultivariateNormalTriL(VectorView<const T> loc, MatrixView<const T> scale_tril)
    : LocationScaleTriL<T>("MultivariateNormalTriL", loc, scale_tril), standard_(loc.size()) {}
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
  if (f.restoring()) standard_ = Normal<T>(this->dim());
}

// ------------------------------------------------------------------------------------------------------------ fit

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
    throw DomainError(where + ": ridge must be at least 0 and finite, got " + detail::number_text(ridge));

  const auto weight = [&](Index i) { return weights.empty() ? 1.0 : weights[i]; };
  for (Index i = 0; i < rows; ++i) {
    if (!(weight(i) >= 0) || !std::isfinite(weight(i)))
      throw DomainError(where + ": weights must be at least 0 and finite, got " + detail::number_text(weight(i)) +
                        " in row " + std::to_string(i));
    for (Index c = 0; c < dim; ++c)
      if (!std::isfinite(data(i, c)))
        throw DomainError(where + ": data must be finite, got " + detail::number_text(data(i, c)) + " in row " +
                          std::to_string(i) + ", column " + std::to_string(c));
  }
  const auto for_each_row = [&](const std::function<void(const double*, double)>& f) {
    Eigen::VectorXd row(dim);
    for (Index i = 0; i < rows; ++i) {
      for (Index c = 0; c < dim; ++c) row[c] = static_cast<double>(data(i, c));
      f(row.data(), weight(i));
    }
  };
  const GaussianMoments moments = fit_gaussian(where, dim, for_each_row, ridge);
  Tensor<T> loc({dim}), scale({dim, dim});
  for (Index i = 0; i < dim; ++i) {
    loc[i] = static_cast<T>(moments.mean[i]);
    for (Index j = 0; j <= i; ++j) scale(i, j) = static_cast<T>(moments.scale_tril(i, j));
  }
  return MultivariateNormalTriL(VectorView<const T>(loc.values()), std::as_const(scale).matrix());
}

template class MultivariateNormalTriL<float>;
template class MultivariateNormalTriL<double>;

}  // namespace pushforward
