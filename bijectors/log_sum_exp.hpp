#pragma once

#include <pushforward/ops.hpp>

namespace pushforward::detail {

/// log(exp(a) + exp(b)) element by element; a default-made a stands for minus infinity.
template <Scalar T>
Var<T> log_add_exp(Var<T> a, Var<T> b) {
  return a ? a + softplus(b - a) : b;
}

}  // namespace pushforward::detail
