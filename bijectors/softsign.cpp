#include <pushforward/bijectors/softsign.hpp>

#include <cmath>

namespace pushforward {

template <Scalar T>
MappedElements<T> SoftsignMap<T>::forward(Var<T> x) {
  const Var<T> size = abs(x);
  return {clamp(x / (size + T(1)), std::nextafter(T(-1), T(0)), std::nextafter(T(1), T(0))), T(-2) * log1p(size)};
}

template <Scalar T>
MappedElements<T> SoftsignMap<T>::inverse(Var<T> y) {
  const Var<T> rest = T(1) - abs(y);
  return {y / rest, T(-2) * log(rest)};
}

template struct SoftsignMap<float>;
template struct SoftsignMap<double>;

}  // namespace pushforward
