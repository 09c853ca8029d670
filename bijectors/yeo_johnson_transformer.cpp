#include <pushforward/bijectors/yeo_johnson_transformer.hpp>

#include "bijectors/hyperbolic.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MappedElements<T> YeoJohnsonMap<T>::forward(Var<T> x, std::span<const Var<T>> params, double bound) {
  const Var<T> r = soft_bound(params[0], bound), l = T(2) * sigmoid(r), m = T(2) * sigmoid(-r);
  const Var<T> up = log1p(l * relu(x)) / l, down = log1p(m * relu(-x)) / m;
  return {expm1(up) - expm1(down), (T(1) - l) * up + (T(1) - m) * down};
}

template <Scalar T>
MappedElements<T> YeoJohnsonMap<T>::inverse(Var<T> y, std::span<const Var<T>> params, double bound) {
  const Var<T> r = soft_bound(params[0], bound), l = T(2) * sigmoid(r), m = T(2) * sigmoid(-r);
  const Var<T> up = log1p(relu(y)), down = log1p(relu(-y));
  return {expm1(l * up) / l - expm1(m * down) / m, (l - T(1)) * up + (m - T(1)) * down};
}

template struct YeoJohnsonMap<float>;
template struct YeoJohnsonMap<double>;

}  // namespace pushforward
