#include <pushforward/distributions/laplace.hpp>

#include "distributions/parameters.hpp"
#include "src/numerics/constants.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Laplace<T>::Laplace(Index dim) : LocationScale<T>("Laplace", dim) {}
template <Scalar T>
Laplace<T>::Laplace(VectorView<const T> loc, VectorView<const T> scale) : LocationScale<T>("Laplace", loc, scale) {}
template <Scalar T>
Column<T> Laplace<T>::do_standard_log_prob(Pass<T>&, Var<T> z) const {
  const double dim = static_cast<double>(z.cols());
  return scale_shift(row_sum(abs(z)), -1.0, -dim * log_2);
}

template <Scalar T>
Var<T> Laplace<T>::do_standard_sample(Pass<T>& pass) const {
  return pass.laplace(this->dim());
}

template <Scalar T>
double Laplace<T>::do_standard_variance(Index) const {
  return 2;
}
template <Scalar T>
double Laplace<T>::do_standard_entropy(Index) const {
  return 1 + log_2;
}
template <Scalar T>
double Laplace<T>::do_standard_cdf(double z, Index) const {
  return z < 0 ? 0.5 * std::exp(z) : 1 - 0.5 * std::exp(-z);
}
template <Scalar T>
double Laplace<T>::do_standard_log_cdf(double z, Index) const {
  return z < 0 ? z - log_2 : std::log1p(-0.5 * std::exp(-z));
}
template <Scalar T>
double Laplace<T>::do_standard_quantile(double p, Index) const {
  return p < 0.5 ? std::log(2 * p) : -std::log(2 * (1 - p));
}

template <Scalar T>
std::optional<double> Laplace<T>::do_kl_divergence(const Distribution<T>& other) const {
  const auto* q = dynamic_cast<const Laplace*>(&other);
  if (!q) return std::nullopt;
  double sum = 0;
  for (Index c = 0; c < this->dim(); ++c) {
    const double distance = std::abs(this->loc_at(c) - q->loc_at(c));
    const double scale = this->scale_at(c), other_scale = q->scale_at(c);
    sum += at(q->log_scale(), c) - at(this->log_scale(), c) + distance / other_scale +
           scale / other_scale * std::exp(-distance / scale) - 1;
  }
  return sum;
}

template class Laplace<float>;
template class Laplace<double>;

}  // namespace pushforward
