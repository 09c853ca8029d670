#include <pushforward/bijectors/frechet_transformer.hpp>

#include "bijectors/clamp.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MappedElements<T> FrechetMap<T>::forward(Var<T> x, std::span<const Var<T>> params, double bound) {
  const Var<T> log_k = soft_bound(params[1], bound), log_x = log(x);
  const Var<T> t = exp(log_k) * (params[0] - log_x), rate = clamp_finite(exp(t));
  return {clamp_to_unit(exp(-rate)), log_k - log_x + t - rate};
}

template <Scalar T>
MappedElements<T> FrechetMap<T>::inverse(Var<T> y, std::span<const Var<T>> params, double bound) {
  const Var<T> log_k = soft_bound(params[1], bound), rate = -log(y), t = log(rate);
  const Var<T> log_x = params[0] - t * exp(-log_k);
  return {clamp_positive_finite(exp(log_x)), log_x + rate - log_k - t};
}

template struct FrechetMap<float>;
template struct FrechetMap<double>;

}  // namespace pushforward
