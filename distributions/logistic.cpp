#include <pushforward/distributions/logistic.hpp>

#include "src/numerics/constants.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Logistic<T>::Logistic(Index dim) : LocationScale<T>("Logistic", dim) {}
template <Scalar T>
Logistic<T>::Logistic(VectorView<const T> loc, VectorView<const T> scale) : LocationScale<T>("Logistic", loc, scale) {}
template <Scalar T>
Column<T> Logistic<T>::do_standard_log_prob(Pass<T>&, Var<T> z) const {
  // Even in z, so that no two terms cancel.
  const Var<T> a = abs(z);
  return -row_sum(a + T(2) * softplus(-a));
}

template <Scalar T>
Var<T> Logistic<T>::do_standard_sample(Pass<T>& pass) const {
  return pass.logistic(this->dim());
}

template <Scalar T>
double Logistic<T>::do_standard_variance(Index) const {
  return pi * pi / 3;
}
template <Scalar T>
double Logistic<T>::do_standard_entropy(Index) const {
  return 2;
}
template <Scalar T>
double Logistic<T>::do_standard_cdf(double z, Index) const {
  return 1 / (1 + std::exp(-z));
}
template <Scalar T>
double Logistic<T>::do_standard_log_cdf(double z, Index) const {
  return z > 0 ? -std::log1p(std::exp(-z)) : z - std::log1p(std::exp(z));
}
template <Scalar T>
double Logistic<T>::do_standard_quantile(double p, Index) const {
  return std::log(p) - std::log1p(-p);
}

template <Scalar T>
void Logistic<T>::do_fields(Fields<T>& f) {
  f.type("logistic");
  LocationScale<T>::do_fields(f);
}

template class Logistic<float>;
template class Logistic<double>;

}  // namespace pushforward
