#include <pushforward/bijectors/exp.hpp>

#include "bijectors/clamp.hpp"

namespace pushforward {

template <Scalar T>
MappedElements<T> ExpMap<T>::forward(Var<T> x) {
  return {detail::clamp_positive(exp(x)), x};
}

template <Scalar T>
MappedElements<T> ExpMap<T>::inverse(Var<T> y) {
  const Var<T> x = log(y);
  return {x, -x};
}

template struct ExpMap<float>;
template struct ExpMap<double>;

}  // namespace pushforward
