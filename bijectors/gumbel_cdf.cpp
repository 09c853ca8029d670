#include <pushforward/bijectors/gumbel_cdf.hpp>

#include "bijectors/clamp.hpp"

namespace pushforward {

template <Scalar T>
MappedElements<T> GumbelCDFMap<T>::forward(Var<T> x) {
  const Var<T> rate = exp(-x);
  return {detail::clamp_to_unit(exp(-rate)), -(x + rate)};
}

template <Scalar T>
MappedElements<T> GumbelCDFMap<T>::inverse(Var<T> y) {
  const Var<T> rate = -log(y), x = -log(rate);
  return {x, x + rate};
}

template struct GumbelCDFMap<float>;
template struct GumbelCDFMap<double>;

}  // namespace pushforward
