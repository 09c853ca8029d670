#include <pushforward/bijectors/kumaraswamy_transformer.hpp>

#include "bijectors/clamp.hpp"
#include "bijectors/hyperbolic.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MappedElements<T> KumaraswamyMap<T>::forward(Var<T> x, std::span<const Var<T>> params, double bound) {
  const Var<T> log_a = soft_bound(params[0], bound), log_b = soft_bound(params[1], bound);
  const Var<T> log_x = log(x), rest = log1mexp(exp(log_a) * log_x);
  return {clamp_to_unit(-expm1(exp(log_b) * rest)), log_a + log_b + expm1(log_a) * log_x + expm1(log_b) * rest};
}

template <Scalar T>
MappedElements<T> KumaraswamyMap<T>::inverse(Var<T> y, std::span<const Var<T>> params, double bound) {
  const Var<T> log_a = soft_bound(params[0], bound), log_b = soft_bound(params[1], bound);
  const Var<T> rest = log1p(-y) * exp(-log_b), log_x = log1mexp(rest) * exp(-log_a);
  return {clamp_to_unit(exp(log_x)), -(log_a + log_b + expm1(log_a) * log_x + expm1(log_b) * rest)};
}

template struct KumaraswamyMap<float>;
template struct KumaraswamyMap<double>;

}  // namespace pushforward
