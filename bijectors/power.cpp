#include <pushforward/bijectors/power.hpp>

#include <cmath>

#include "bijectors/clamp.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
PowerMap<T>::PowerMap(double power) : power_(power) {
  restored();
}

template <Scalar T>
MappedElements<T> PowerMap<T>::forward(Var<T> x) const {
  const Var<T> log_x = log(x);
  return {clamp_positive_finite(exp(static_cast<T>(power_) * log_x)),
          scale_shift(log_x, static_cast<T>(power_ - 1), static_cast<T>(std::log(std::abs(power_))))};
}

template <Scalar T>
MappedElements<T> PowerMap<T>::inverse(Var<T> y) const {
  const Var<T> log_y = log(y);
  return {clamp_positive_finite(exp(static_cast<T>(1 / power_) * log_y)),
          scale_shift(log_y, static_cast<T>(1 / power_ - 1), static_cast<T>(-std::log(std::abs(power_))))};
}

template <Scalar T>
void PowerMap<T>::fields(Fields<T>& f) {
  f.constant("power", power_);
}

template <Scalar T>
void PowerMap<T>::restored() {
  if (power_ == 0 || !std::isfinite(power_))
    throw DomainError("Power: power must be finite and not 0, got " + number_text(power_));
  increasing = power_ > 0;
}

template struct PowerMap<float>;
template struct PowerMap<double>;

}  // namespace pushforward
