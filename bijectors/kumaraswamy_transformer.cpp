#include <pushforward/bijectors/kumaraswamy_transformer.hpp>

#include "bijectors/clamp.hpp"
#include "bijectors/hyperbolic.hpp"
#include "bijectors/shape_bound.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
KumaraswamyTransformer<T>::KumaraswamyTransformer(double bound)
    : Transformer<T>("KumaraswamyTransformer", 2), bound_(bound) {
  do_restored();
}

template <Scalar T>
auto KumaraswamyTransformer<T>::do_forward(Pass<T>& pass, Var<T> given, Params params) const -> Elements {
  const Var<T> x = pass.restrict_to(given, this->domain());
  const Var<T> log_a = soft_bound(params[0], bound_), log_b = soft_bound(params[1], bound_);
  const Var<T> log_x = log(x), rest = log1mexp(exp(log_a) * log_x);
  return {clamp_to_unit(-expm1(exp(log_b) * rest)), log_a + log_b + expm1(log_a) * log_x + expm1(log_b) * rest};
}

template <Scalar T>
auto KumaraswamyTransformer<T>::do_inverse(Pass<T>& pass, Var<T> given, Params params) const -> Elements {
  const Var<T> y = pass.restrict_to(given, this->codomain());
  const Var<T> log_a = soft_bound(params[0], bound_), log_b = soft_bound(params[1], bound_);
  const Var<T> rest = log1p(-y) * exp(-log_b), log_x = log1mexp(rest) * exp(-log_a);
  return {clamp_to_unit(exp(log_x)), -(log_a + log_b + expm1(log_a) * log_x + expm1(log_b) * rest)};
}

template <Scalar T>
void KumaraswamyTransformer<T>::do_fields(Fields<T>& f) {
  f.type("kumaraswamy_transformer");
  f.constant("bound", bound_);
}

template <Scalar T>
void KumaraswamyTransformer<T>::do_restored() {
  check_shape_bound("KumaraswamyTransformer", bound_);
}

template class KumaraswamyTransformer<float>;
template class KumaraswamyTransformer<double>;

}  // namespace pushforward
