#include <pushforward/bijectors/gompertz_transformer.hpp>

#include "bijectors/clamp.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MappedElements<T> GompertzMap<T>::forward(Var<T> x, std::span<const Var<T>> params, double bound) {
  const Var<T> log_c = soft_bound(params[0], bound), log_r = soft_bound(params[1], bound);
  const Var<T> age = clamp_finite(exp(log_r) * x), hazard = clamp_finite(exp(log_c) * expm1(age));
  return {clamp_to_unit(-expm1(-hazard)), log_c + log_r + age - hazard};
}

template <Scalar T>
MappedElements<T> GompertzMap<T>::inverse(Var<T> y, std::span<const Var<T>> params, double bound) {
  const Var<T> log_c = soft_bound(params[0], bound), log_r = soft_bound(params[1], bound);
  const Var<T> hazard = -log1p(-y), age = log1p(hazard * exp(-log_c));
  return {clamp_positive(age * exp(-log_r)), hazard - age - log_c - log_r};
}

template struct GompertzMap<float>;
template struct GompertzMap<double>;

}  // namespace pushforward
