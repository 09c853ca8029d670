#include <pushforward/bijectors/elu.hpp>

#include <cmath>
#include <limits>

#include "bijectors/hyperbolic.hpp"

namespace pushforward {

template <Scalar T>
MappedElements<T> EluMap<T>::forward(Var<T> x) {
  const Var<T> y = activation(Activation::elu, x);
  return {clamp(y, std::nextafter(T(-1), T(0)), std::numeric_limits<T>::infinity()), -detail::relu(-x)};
}

template <Scalar T>
MappedElements<T> EluMap<T>::inverse(Var<T> y) {
  const Var<T> negative = log1p(-detail::relu(-y));
  return {detail::relu(y) + negative, -negative};
}

template struct EluMap<float>;
template struct EluMap<double>;

}  // namespace pushforward
