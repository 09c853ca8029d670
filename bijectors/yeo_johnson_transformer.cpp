#include <pushforward/bijectors/yeo_johnson_transformer.hpp>

#include "bijectors/hyperbolic.hpp"
#include "bijectors/shape_bound.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
YeoJohnsonTransformer<T>::YeoJohnsonTransformer(double bound)
    : Transformer<T>("YeoJohnsonTransformer", 1), bound_(bound) {
  do_restored();
}

template <Scalar T>
auto YeoJohnsonTransformer<T>::do_forward(Pass<T>&, Var<T> x, Params params) const -> Elements {
  const Var<T> r = soft_bound(params[0], bound_), l = T(2) * sigmoid(r), m = T(2) * sigmoid(-r);
  const Var<T> up = log1p(l * relu(x)) / l, down = log1p(m * relu(-x)) / m;
  return {expm1(up) - expm1(down), (T(1) - l) * up + (T(1) - m) * down};
}

template <Scalar T>
auto YeoJohnsonTransformer<T>::do_inverse(Pass<T>&, Var<T> y, Params params) const -> Elements {
  const Var<T> r = soft_bound(params[0], bound_), l = T(2) * sigmoid(r), m = T(2) * sigmoid(-r);
  const Var<T> up = log1p(relu(y)), down = log1p(relu(-y));
  return {expm1(l * up) / l - expm1(m * down) / m, (l - T(1)) * up + (m - T(1)) * down};
}

template <Scalar T>
void YeoJohnsonTransformer<T>::do_fields(Fields<T>& f) {
  f.type("yeo_johnson_transformer");
  f.constant("bound", bound_);
}

template <Scalar T>
void YeoJohnsonTransformer<T>::do_restored() {
  check_shape_bound("YeoJohnsonTransformer", bound_);
}

template class YeoJohnsonTransformer<float>;
template class YeoJohnsonTransformer<double>;

}  // namespace pushforward
