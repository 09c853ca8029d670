#include <pushforward/bijectors/leaky_relu.hpp>

#include <cmath>

#include "bijectors/hyperbolic.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
LeakyReluMap<T>::LeakyReluMap(double slope) : slope_(slope) {
  restored();
}

template <Scalar T>
MappedElements<T> LeakyReluMap<T>::forward(Var<T> x) const {
  const T log_slope = static_cast<T>(std::log(slope_));
  return {relu(x) - static_cast<T>(slope_) * relu(-x), scale_shift(is_positive(x), -log_slope, log_slope)};
}

template <Scalar T>
MappedElements<T> LeakyReluMap<T>::inverse(Var<T> y) const {
  const T log_slope = static_cast<T>(std::log(slope_));
  return {relu(y) - static_cast<T>(1 / slope_) * relu(-y), scale_shift(is_positive(y), log_slope, -log_slope)};
}

template <Scalar T>
void LeakyReluMap<T>::fields(Fields<T>& f) {
  f.constant("slope", slope_);
}

template <Scalar T>
void LeakyReluMap<T>::restored() {
  if (!(slope_ > 0) || !std::isfinite(slope_))
    throw DomainError("LeakyRelu: slope must be positive and finite, got " + number_text(slope_));
}

template struct LeakyReluMap<float>;
template struct LeakyReluMap<double>;

}  // namespace pushforward
