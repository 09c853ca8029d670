#include <pushforward/distributions/normal.hpp>

#include <cmath>

#include "distributions/gaussian.hpp"
#include "src/numerics/special_functions.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Normal<T>::Normal(Index dim) : LocationScale<T>("Normal", dim) {}
template <Scalar T>
Normal<T>::Normal(VectorView<const T> loc, VectorView<const T> scale) : LocationScale<T>("Normal", loc, scale) {}
template <Scalar T>
Column<T> Normal<T>::do_standard_log_prob(Pass<T>&, Var<T> z) const {
  const double dim = static_cast<double>(z.cols());
  return scale_shift(row_sum_of_squares(z), -0.5, -0.5 * dim * log_2_pi);
}

template <Scalar T>
Var<T> Normal<T>::do_standard_sample(Pass<T>& pass) const {
  return pass.normal(this->dim());
}

template <Scalar T>
double Normal<T>::do_standard_variance(Index) const {
  return 1;
}
template <Scalar T>
double Normal<T>::do_standard_entropy(Index) const {
  return 0.5 * (log_2_pi + 1);
}
template <Scalar T>
double Normal<T>::do_standard_cdf(double z, Index) const {
  return 0.5 * std::erfc(-z / std::sqrt(2.0));
}
template <Scalar T>
double Normal<T>::do_standard_log_cdf(double z, Index) const {
  return log_normal_cdf(z);
}
template <Scalar T>
double Normal<T>::do_standard_quantile(double p, Index) const {
  return -std::sqrt(2.0) * erfc_inv(2 * p);
}

template <Scalar T>
std::optional<double> Normal<T>::do_kl_divergence(const Distribution<T>& other) const {
  return gaussian_kl<T>(*this, other);
}

template class Normal<float>;
template class Normal<double>;

}  // namespace pushforward
