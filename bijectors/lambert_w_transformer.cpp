#include <pushforward/bijectors/lambert_w_transformer.hpp>

namespace pushforward {

using namespace detail;

template <Scalar T>
auto LambertWTransformer<T>::do_forward(Pass<T>&, Var<T> x, Params params) const -> Elements {
  const Var<T> square_part = sigmoid(params[0] - T(3)) * square(x), half = T(0.5) * square_part;
  return {x * exp(half), half + log1p(square_part)};
}

template <Scalar T>
auto LambertWTransformer<T>::do_inverse(Pass<T>&, Var<T> y, Params params) const -> Elements {
  const Var<T> square_part = lambert_w(sigmoid(params[0] - T(3)) * square(y)), half = T(0.5) * square_part;
  return {y * exp(-half), -(half + log1p(square_part))};
}

template class LambertWTransformer<float>;
template class LambertWTransformer<double>;

}  // namespace pushforward
