#include <pushforward/bijectors/sinh_arcsinh_transformer.hpp>

#include <cmath>

#include "bijectors/hyperbolic.hpp"

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
MappedElements<T> SinhArcsinhMap<T>::forward(Var<T> x, std::span<const Var<T>> params, double bound) {
  const Stretch<T> stretch(params[1], bound);
  const Var<T> v = stretch.t * (asinh(x) + params[0]);
  return {exp(stretch.log_k) * detail::sinh(v), stretch.log_k + stretch.log_t + log_cosh(v) - T(0.5) * log1p_square(x)};
}

template <Scalar T>
MappedElements<T> SinhArcsinhMap<T>::inverse(Var<T> y, std::span<const Var<T>> params, double bound) {
  const Stretch<T> stretch(params[1], bound);
  const Var<T> w = y * exp(-stretch.log_k), u = asinh(w) / stretch.t - params[0];
  return {detail::sinh(u), log_cosh(u) - T(0.5) * log1p_square(w) - stretch.log_k - stretch.log_t};
}

template struct SinhArcsinhMap<float>;
template struct SinhArcsinhMap<double>;

}  // namespace pushforward
