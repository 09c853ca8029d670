#include <pushforward/bijectors/cauchy_cdf.hpp>

#include <limits>
#include <numbers>

#include "bijectors/clamp.hpp"
#include "bijectors/hyperbolic.hpp"
#include "src/numerics/constants.hpp"

namespace pushforward {

using namespace detail;

namespace {

template <Scalar T>
Var<T> minus_log_density(Var<T> x) {
  return log1p_square(x) + static_cast<T>(log_pi);
}

}  // namespace

template <Scalar T>
MappedElements<T> CauchyCDFMap<T>::forward(Var<T> x) {
  constexpr T over_pi = std::numbers::inv_pi_v<T>;
  const Var<T> size = abs(x), far = is_positive(size - T(1));
  // |x| up to 1, and 1 / |x| beyond.
  const Var<T> turns = over_pi * atan(clip(size, T(0), T(1)) / clip(size, T(1), std::numeric_limits<T>::infinity()));
  // Of the side that x lies on; on the right y is what it leaves.
  const Var<T> tail = far * turns + (T(1) - far) * (T(0.5) - turns);
  return {clamp_to_unit(tail + is_positive(x) * (T(1) - T(2) * tail)), -minus_log_density(x)};
}

template <Scalar T>
MappedElements<T> CauchyCDFMap<T>::inverse(Var<T> y) {
  // A tangent in the middle half, and beyond it the cotangent of the distance from the nearer end.
  const Var<T> middle = y - T(0.5), right = is_positive(middle), far = is_positive(abs(middle) - T(0.25));
  const Var<T> near_angle = std::numbers::pi_v<T> * clip(middle, T(-0.25), T(0.25));
  const Var<T> tail = clip(y + right * (T(1) - T(2) * y), T(0), T(0.25)), far_angle = std::numbers::pi_v<T> * tail;
  const Var<T> far_x = clamp_finite((T(2) * right - T(1)) * (cos(far_angle) / sin(far_angle)));
  const Var<T> x = far * far_x + (T(1) - far) * (sin(near_angle) / cos(near_angle));
  return {x, minus_log_density(x)};
}

template struct CauchyCDFMap<float>;
template struct CauchyCDFMap<double>;

}  // namespace pushforward
