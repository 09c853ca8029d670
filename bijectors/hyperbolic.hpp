#pragma once

#include <limits>
#include <numbers>

#include <pushforward/ops.hpp>

namespace pushforward::detail {

/// Keeps the digits of small x.
template <Scalar T>
Var<T> sinh(Var<T> x) {
  return T(0.5) * (expm1(x) - expm1(-x));
}

/// log cosh(x), of an |x| that is there already.
template <Scalar T>
Var<T> log_cosh_of_size(Var<T> size) {
  return size + (softplus(T(-2) * size) - std::numbers::ln2_v<T>);
}
template <Scalar T>
Var<T> log_cosh(Var<T> x) {
  return log_cosh_of_size(abs(x));
}

/// 1 where x > 0, else 0; a constant to gradients.
template <Scalar T>
Var<T> is_positive(Var<T> x) {
  return activation_derivative(Activation::relu, x);
}
/// -1, 0 or 1.
template <Scalar T>
Var<T> sign(Var<T> x) {
  return is_positive(x) - is_positive(-x);
}
/// log(1 - exp(x)) for x < 0, with all digits next to both ends.
template <Scalar T>
Var<T> log1mexp(Var<T> x) {
  constexpr T middle = -std::numbers::ln2_v<T>;
  const Var<T> far = is_positive(middle - x);
  const Var<T> far_value = log1p(-exp(clip(x, -std::numeric_limits<T>::infinity(), middle)));
  return far * far_value + (T(1) - far) * log(-expm1(clip(x, middle, T(0))));
}
template <Scalar T>
Var<T> relu(Var<T> x) {
  return activation(Activation::relu, x);
}

}  // namespace pushforward::detail
