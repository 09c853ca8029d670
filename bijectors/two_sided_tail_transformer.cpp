#include <pushforward/bijectors/two_sided_tail_transformer.hpp>

#include <limits>
#include <numbers>

#include "bijectors/clamp.hpp"
#include "bijectors/hyperbolic.hpp"

namespace pushforward {

using namespace detail;

namespace {

template <Scalar T>
constexpr T half_log_two_over_pi = T(-0.22579135264472743);

template <Scalar T>
Var<T> index(Var<T> raw, double bound) {
  return exp(soft_bound(raw, bound) - T(2));
}

/// log erfc(x / sqrt 2) for x >= 0: near 0 not as the difference from log 2.
template <Scalar T>
Var<T> log_erfc(Var<T> x) {
  constexpr T sqrt_half = T(1) / std::numbers::sqrt2_v<T>;
  const Var<T> far = is_positive(x - T(1));
  const Var<T> near_value = log1p(-erf(sqrt_half * clip(x, T(0), T(1))));
  const Var<T> far_value = log_ndtr(-clip(x, T(1), std::numeric_limits<T>::infinity())) + std::numbers::ln2_v<T>;
  return near_value + far * (far_value - near_value);
}

/// Its inverse, for values up to 0.
template <Scalar T>
Var<T> erfc_inverse_of_log(Var<T> value) {
  const Var<T> far = is_positive(T(-1) - value);
  const Var<T> near_x = std::numbers::sqrt2_v<T> * erfinv(-expm1(clip(value, T(-1), T(0))));
  const Var<T> far_x = -ndtri_exp(clip(value, -std::numeric_limits<T>::infinity(), T(-1)) - std::numbers::ln2_v<T>);
  return near_x + far * (far_x - near_x);
}

}  // namespace

template <Scalar T>
MappedElements<T> TwoSidedTailMap<T>::forward(Var<T> x, std::span<const Var<T>> params, double bound) {
  const Var<T> right = log_erfc(relu(x)), left = log_erfc(relu(-x));
  const Var<T> l = index(params[0], bound), m = index(params[1], bound);
  return {clamp_finite(expm1(-l * right) / l - expm1(-m * left) / m),
          half_log_two_over_pi<T> - (T(0.5) * square(x) + (l + T(1)) * right + (m + T(1)) * left)};
}

template <Scalar T>
MappedElements<T> TwoSidedTailMap<T>::inverse(Var<T> y, std::span<const Var<T>> params, double bound) {
  const Var<T> l = index(params[0], bound), m = index(params[1], bound);
  const Var<T> right = -log1p(l * relu(y)) / l, left = -log1p(m * relu(-y)) / m;
  const Var<T> x = erfc_inverse_of_log(right) - erfc_inverse_of_log(left);
  return {x, T(0.5) * square(x) + (l + T(1)) * right + (m + T(1)) * left - half_log_two_over_pi<T>};
}

template struct TwoSidedTailMap<float>;
template struct TwoSidedTailMap<double>;

}  // namespace pushforward
