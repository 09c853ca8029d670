#include <pushforward/bijectors/lambert_w_transformer.hpp>

namespace pushforward {

using namespace detail;

template <Scalar T>
MappedElements<T> LambertWMap<T>::forward(Var<T> x, std::span<const Var<T>> params) {
  const Var<T> square_part = sigmoid(params[0] - T(3)) * square(x), half = T(0.5) * square_part;
  return {x * exp(half), half + log1p(square_part)};
}

template <Scalar T>
MappedElements<T> LambertWMap<T>::inverse(Var<T> y, std::span<const Var<T>> params) {
  const Var<T> square_part = lambert_w(sigmoid(params[0] - T(3)) * square(y)), half = T(0.5) * square_part;
  return {y * exp(-half), -(half + log1p(square_part))};
}

template struct LambertWMap<float>;
template struct LambertWMap<double>;

}  // namespace pushforward
