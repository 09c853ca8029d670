#include <pushforward/bijectors/normal_cdf.hpp>

#include <numbers>

#include "bijectors/clamp.hpp"

namespace pushforward {

namespace {

template <Scalar T>
Var<T> minus_log_density(Var<T> x) {
  constexpr T half_log_two_pi = T(0.91893853320467274178);
  return scale_shift(square(x), T(0.5), half_log_two_pi);
}

}  // namespace

template <Scalar T>
MappedElements<T> NormalCDFMap<T>::forward(Var<T> x) {
  return {detail::clamp_to_unit(exp(log_ndtr(x))), -minus_log_density(x)};
}

template <Scalar T>
MappedElements<T> NormalCDFMap<T>::inverse(Var<T> y) {
  const Var<T> x = ndtri_exp(log(y));
  return {x, minus_log_density(x)};
}

template struct NormalCDFMap<float>;
template struct NormalCDFMap<double>;

}  // namespace pushforward
