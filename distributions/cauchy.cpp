#include <pushforward/distributions/cauchy.hpp>

#include "src/numerics/special_functions.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Cauchy<T>::Cauchy(Index dim) : LocationScale<T>("Cauchy", dim) {}
template <Scalar T>
Cauchy<T>::Cauchy(VectorView<const T> loc, VectorView<const T> scale) : LocationScale<T>("Cauchy", loc, scale) {}
template <Scalar T>
Column<T> Cauchy<T>::do_standard_log_prob(Pass<T>&, Var<T> z) const {
  const double dim = static_cast<double>(z.cols());
  return scale_shift(row_sum(log1p_square(z)), -1.0, -dim * log_pi);
}

template <Scalar T>
Var<T> Cauchy<T>::do_standard_sample(Pass<T>& pass) const {
  return pass.cauchy(this->dim());
}

template <Scalar T>
double Cauchy<T>::do_standard_variance(Index) const {
  throw this->not_implemented("variance", "undefined: the integral of y^2 diverges");
}
template <Scalar T>
double Cauchy<T>::do_standard_entropy(Index) const {
  return log_2_pi + log_2;
}
template <Scalar T>
double Cauchy<T>::do_standard_cdf(double z, Index) const {
  return std::atan2(1.0, -z) / pi;
}
template <Scalar T>
double Cauchy<T>::do_standard_log_cdf(double z, Index) const {
  return log_probability(std::atan2(1.0, -z) / pi, std::atan2(1.0, z) / pi);
}
template <Scalar T>
double Cauchy<T>::do_standard_quantile(double p, Index) const {
  if (p < 0.25) return -1 / std::tan(pi * p);
  return p > 0.75 ? 1 / std::tan(pi * (1 - p)) : std::tan(pi * (p - 0.5));
}

template <Scalar T>
void Cauchy<T>::do_mean(VectorView<double>) const {
  throw this->not_implemented("mean", "undefined: the integral of |y| diverges; mode() is the median");
}

template <Scalar T>
std::optional<double> Cauchy<T>::do_kl_divergence(const Distribution<T>& other) const {
  const auto* q = dynamic_cast<const Cauchy*>(&other);
  if (!q) return std::nullopt;
  double sum = 0;
  for (Index c = 0; c < this->dim(); ++c) {
    // log of ((s + t)^2 + d^2) / (4 s t) = log of 1 + ((s - t)^2 + d^2) / (4 s t)
    const double s = this->scale_at(c), t = q->scale_at(c), d = this->loc_at(c) - q->loc_at(c);
    sum += std::log1p(((s - t) / s * ((s - t) / t) + d / s * (d / t)) / 4);
  }
  return sum;
}

template class Cauchy<float>;
template class Cauchy<double>;

}  // namespace pushforward
