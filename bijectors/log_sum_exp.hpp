#pragma once

#include <limits>

#include <pushforward/ops.hpp>

#include "bijectors/hyperbolic.hpp"

namespace pushforward::detail {

/// log(exp(a) + exp(b)) element by element; a default-made a stands for minus infinity. The larger one itself where the
/// other one does not count, whatever their sizes are: shares are differences from this.
template <Scalar T>
Var<T> log_add_exp(Var<T> a, Var<T> b) {
  if (!a) return b;
  // So that the difference is finite, of logarithms that are minus infinity in T too.
  constexpr T least = std::numeric_limits<T>::lowest() / 4, most = std::numeric_limits<T>::max() / 4;
  a = clamp(a, least, most);
  b = clamp(b, least, most);
  const Var<T> difference = b - a, rest = softplus(difference), larger = is_positive(difference);
  return (T(1) - larger) * (a + rest) + larger * (b + (rest - difference));
}

}  // namespace pushforward::detail
