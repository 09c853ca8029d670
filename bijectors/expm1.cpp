#include <pushforward/bijectors/expm1.hpp>

#include <cmath>
#include <limits>

namespace pushforward {

template <Scalar T>
MappedElements<T> Expm1Map<T>::forward(Var<T> x) {
  return {clamp(expm1(x), std::nextafter(T(-1), T(0)), std::numeric_limits<T>::infinity()), x};
}

template <Scalar T>
MappedElements<T> Expm1Map<T>::inverse(Var<T> y) {
  const Var<T> x = log1p(y);
  return {x, -x};
}

template struct Expm1Map<float>;
template struct Expm1Map<double>;

}  // namespace pushforward
