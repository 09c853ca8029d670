#include <pushforward/bijectors/sinh_arcsinh_transformer.hpp>

#include <cmath>

#include "bijectors/hyperbolic.hpp"
#include "bijectors/shape_bound.hpp"

namespace pushforward {

using namespace detail;

namespace {

template <Scalar T>
struct Stretch {
  Var<T> log_t, t, log_k;

  Stretch(Var<T> raw, double bound) : log_t(soft_bound(raw, bound)), t(exp(log_t)) {
    const Var<T> z = t * static_cast<T>(std::asinh(2.0));
    log_k = T(2 * std::log(2.0)) - (z + log(-expm1(T(-2) * z)));  // 2 / sinh z
  }
};

}  // namespace

template <Scalar T>
SinhArcsinhTransformer<T>::SinhArcsinhTransformer(double bound)
    : Transformer<T>("SinhArcsinhTransformer", 2), bound_(bound) {
  do_restored();
}

template <Scalar T>
auto SinhArcsinhTransformer<T>::do_forward(Pass<T>&, Var<T> x, Params params) const -> Elements {
  const Stretch<T> stretch(params[1], bound_);
  const Var<T> v = stretch.t * (asinh(x) + params[0]);
  return {exp(stretch.log_k) * detail::sinh(v), stretch.log_k + stretch.log_t + log_cosh(v) - T(0.5) * log1p_square(x)};
}

template <Scalar T>
auto SinhArcsinhTransformer<T>::do_inverse(Pass<T>&, Var<T> y, Params params) const -> Elements {
  const Stretch<T> stretch(params[1], bound_);
  const Var<T> w = y * exp(-stretch.log_k), u = asinh(w) / stretch.t - params[0];
  return {detail::sinh(u), log_cosh(u) - T(0.5) * log1p_square(w) - stretch.log_k - stretch.log_t};
}

template <Scalar T>
void SinhArcsinhTransformer<T>::do_fields(Fields<T>& f) {
  f.type("sinh_arcsinh_transformer");
  f.constant("bound", bound_);
}

template <Scalar T>
void SinhArcsinhTransformer<T>::do_restored() {
  check_shape_bound("SinhArcsinhTransformer", bound_);
}

template class SinhArcsinhTransformer<float>;
template class SinhArcsinhTransformer<double>;

}  // namespace pushforward
