#include <pushforward/bijectors/weibull_transformer.hpp>

#include "bijectors/clamp.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MappedElements<T> WeibullMap<T>::forward(Var<T> x, std::span<const Var<T>> params, double bound) {
  const Var<T> log_k = soft_bound(params[1], bound), log_x = log(x);
  const Var<T> t = exp(log_k) * (log_x - params[0]), hazard = exp(t);
  return {clamp_to_unit(-expm1(-hazard)), log_k - log_x + t - hazard};
}

template <Scalar T>
MappedElements<T> WeibullMap<T>::inverse(Var<T> y, std::span<const Var<T>> params, double bound) {
  const Var<T> log_k = soft_bound(params[1], bound), hazard = -log1p(-y), t = log(hazard);
  const Var<T> log_x = params[0] + t * exp(-log_k);
  return {clamp_positive(exp(log_x)), log_x + hazard - log_k - t};
}

template struct WeibullMap<float>;
template struct WeibullMap<double>;

}  // namespace pushforward
