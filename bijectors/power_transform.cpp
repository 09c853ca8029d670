#include <pushforward/bijectors/power_transform.hpp>

#include <cmath>
#include <limits>

#include "bijectors/clamp.hpp"
#include "src/core/number_text.hpp"
#include "src/core/rounded.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
PowerTransformMap<T>::PowerTransformMap(double power) : power_(power) {
  restored();
}

template <Scalar T>
MappedElements<T> PowerTransformMap<T>::forward(Var<T> x) const {
  const T power = static_cast<T>(power_);
  const Var<T> log_y = log1p(power * x) / power;
  return {clamp_positive(exp(log_y)), (T(1) - power) * log_y};
}

template <Scalar T>
MappedElements<T> PowerTransformMap<T>::inverse(Var<T> y) const {
  const T power = static_cast<T>(power_), infinity = std::numeric_limits<T>::infinity();
  const Var<T> log_y = log(y);
  return {clamp(expm1(power * log_y) / power, std::nextafter(static_cast<T>(domain.low), infinity), infinity),
          (power - T(1)) * log_y};
}

template <Scalar T>
void PowerTransformMap<T>::fields(Fields<T>& f) {
  f.constant("power", power_);
}

template <Scalar T>
void PowerTransformMap<T>::restored() {
  if (!(power_ > 0) || !std::isfinite(power_))
    throw DomainError("PowerTransform: power must be positive and finite, got " + number_text(power_));
  domain = {detail::rounded<T>(-1 / power_), std::numeric_limits<double>::infinity()};
}

template struct PowerTransformMap<float>;
template struct PowerTransformMap<double>;

}  // namespace pushforward
