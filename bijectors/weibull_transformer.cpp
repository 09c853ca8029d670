#include <pushforward/bijectors/weibull_transformer.hpp>

#include "bijectors/clamp.hpp"
#include "bijectors/shape_bound.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
WeibullTransformer<T>::WeibullTransformer(double bound) : Transformer<T>("WeibullTransformer", 2), bound_(bound) {
  do_restored();
}

template <Scalar T>
auto WeibullTransformer<T>::do_forward(Pass<T>& pass, Var<T> given, Params params) const -> Elements {
  const Var<T> x = pass.restrict_to(given, this->domain());
  const Var<T> log_k = soft_bound(params[1], bound_), log_x = log(x);
  const Var<T> t = exp(log_k) * (log_x - params[0]), hazard = exp(t);
  return {clamp_to_unit(-expm1(-hazard)), log_k - log_x + t - hazard};
}

template <Scalar T>
auto WeibullTransformer<T>::do_inverse(Pass<T>& pass, Var<T> given, Params params) const -> Elements {
  const Var<T> y = pass.restrict_to(given, this->codomain());
  const Var<T> log_k = soft_bound(params[1], bound_), hazard = -log1p(-y), t = log(hazard);
  const Var<T> log_x = params[0] + t * exp(-log_k);
  return {clamp_positive(exp(log_x)), log_x + hazard - log_k - t};
}

template <Scalar T>
void WeibullTransformer<T>::do_fields(Fields<T>& f) {
  f.type("weibull_transformer");
  f.constant("bound", bound_);
}

template <Scalar T>
void WeibullTransformer<T>::do_restored() {
  check_shape_bound("WeibullTransformer", bound_);
}

template class WeibullTransformer<float>;
template class WeibullTransformer<double>;

}  // namespace pushforward
