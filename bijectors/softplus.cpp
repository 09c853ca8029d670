#include <pushforward/bijectors/softplus.hpp>

#include "bijectors/clamp.hpp"

namespace pushforward {

template <Scalar T>
MappedElements<T> SoftplusMap<T>::forward(Var<T> x) {
  return {detail::clamp_positive(softplus(x)), -softplus(-x)};
}

template <Scalar T>
MappedElements<T> SoftplusMap<T>::inverse(Var<T> y) {
  const Var<T> log_slope = log(-expm1(-y));  // of the forward map: log sigmoid(x) = log(1 - exp(-y))
  return {y + log_slope, -log_slope};
}

template struct SoftplusMap<float>;
template struct SoftplusMap<double>;

}  // namespace pushforward
