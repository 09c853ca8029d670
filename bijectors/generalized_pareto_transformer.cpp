#include <pushforward/bijectors/generalized_pareto_transformer.hpp>

#include "bijectors/clamp.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MappedElements<T> GeneralizedParetoMap<T>::forward(Var<T> x, std::span<const Var<T>> params, double bound) {
  const Var<T> log_c = soft_bound(params[1], bound), rate = exp(-log_c);
  const Var<T> u = softplus(log_c + log(x) - params[0]);
  return {clamp_to_unit(-expm1(-(u * rate))), -(params[0] + u + u * rate)};
}

template <Scalar T>
MappedElements<T> GeneralizedParetoMap<T>::inverse(Var<T> y, std::span<const Var<T>> params, double bound) {
  const Var<T> log_c = soft_bound(params[1], bound), hazard = -log1p(-y), u = exp(log_c) * hazard;
  return {clamp_positive_finite(exp(params[0] - log_c) * expm1(u)), params[0] + u + hazard};
}

template struct GeneralizedParetoMap<float>;
template struct GeneralizedParetoMap<double>;

}  // namespace pushforward
