#include <pushforward/bijectors/tanh.hpp>

#include <cmath>
#include <numbers>

namespace pushforward {

template <Scalar T>
MappedElements<T> TanhMap<T>::forward(Var<T> x) {
  const T last = std::nextafter(T(1), T(0));
  const Var<T> size = abs(x);
  return {clamp(tanh(x), -last, last),
          scale_shift(size + softplus(T(-2) * size), T(-2), T(2) * std::numbers::ln2_v<T>)};
}

template <Scalar T>
MappedElements<T> TanhMap<T>::inverse(Var<T> y) {
  const Var<T> up = log1p(y), down = log1p(-y);
  return {T(0.5) * (up - down), -(up + down)};
}

template struct TanhMap<float>;
template struct TanhMap<double>;

}  // namespace pushforward
