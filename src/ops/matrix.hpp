#pragma once

#include <pushforward/ops.hpp>

namespace pushforward::detail {

// Small matrices that all rows share: parameters and what is computed from them.

/// a b, (n, m) from (n, k) and (k, m); sums in double.
/// @throws ShapeError  if they do not fit or are not shared.
template <Scalar T>
Var<T> matmul(Var<T> a, Var<T> b);
/// a with rows and columns exchanged.
template <Scalar T>
Var<T> transpose(Var<T> a);

}  // namespace pushforward::detail
