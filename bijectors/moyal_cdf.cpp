#include <pushforward/bijectors/moyal_cdf.hpp>

#include <cmath>
#include <numbers>

#include "bijectors/clamp.hpp"
#include "bijectors/hyperbolic.hpp"

namespace pushforward {

using namespace detail;

namespace {

/// log of the density, of x and exp(-x).
template <Scalar T>
Var<T> log_density(Var<T> x, Var<T> rate) {
  const T half_log_two_pi = static_cast<T>(0.5 * std::log(2 * std::numbers::pi));
  return T(-0.5) * (x + clamp_finite(rate)) - half_log_two_pi;
}

}  // namespace

// erfc(w / sqrt(2)) = 2 Phi(-w) with w = exp(-x / 2).
template <Scalar T>
MappedElements<T> MoyalCDFMap<T>::forward(Var<T> x) {
  const Var<T> log_y = log_ndtr(-exp(T(-0.5) * x)) + std::numbers::ln2_v<T>;
  return {clamp_to_unit(exp(log_y)), log_density(x, exp(-x))};
}

template <Scalar T>
MappedElements<T> MoyalCDFMap<T>::inverse(Var<T> y) {
  constexpr T half = T(0.5);
  const Var<T> right = is_positive(y - half);
  const Var<T> near_zero = -ndtri_exp(log(clip(y, T(0), half)) - std::numbers::ln2_v<T>);
  const Var<T> near_one = std::numbers::sqrt2_v<T> * erfinv(T(1) - clip(y, half, T(1)));
  const Var<T> x = T(-2) * log(right * near_one + (T(1) - right) * near_zero);
  return {x, -log_density(x, exp(-x))};
}

template struct MoyalCDFMap<float>;
template struct MoyalCDFMap<double>;

}  // namespace pushforward
