#pragma once

#include <pushforward/ops.hpp>

#include "src/ops/common.hpp"

namespace pushforward::detail {

// Small matrices that all rows share: parameters and what is computed from them.

/// a b, (n, m) from (n, k) and (k, m); sums in double.
/// @throws ShapeError  if they do not fit or are not shared.
template <Scalar T>
Var<T> matmul(Var<T> a, Var<T> b);
/// a with rows and columns exchanged.
template <Scalar T>
Var<T> transpose(Var<T> a);
/// The inverse of a square matrix, and log |det|, (1, 1); computed in double.
template <Scalar T>
Var<T> inverse(Var<T> a);
template <Scalar T>
Var<T> log_abs_det(Var<T> a);
/// exp(a) = sum_k a^k / k! of a square matrix, computed in double, with its exact derivative.
/// @source Higham 2005 (scaling and squaring, Padé), as Eigen has it; the derivative by the exponential of a block
///         matrix: Higham 2008, eq. 3.16.
template <Scalar T>
Var<T> matrix_exponential(Var<T> a);
/// The constant (rows, cols) matrix f(i, j).
template <Scalar T, class F>
Var<T> shared_constant(Tape<T>& tape, Index rows, Index cols, F f) {
  const Var<T> y = tape.shared(rows, cols, false);
  std::fill_n(y.node()->value, whole_blocks(rows * cols), T(0));
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) y.node()->value[i * cols + j] = static_cast<T>(f(i, j));
  return y;
}
/// Ones on the diagonal.
template <Scalar T>
Var<T> shared_identity(Tape<T>& tape, Index rows, Index cols) {
  return shared_constant(tape, rows, cols, [](Index i, Index j) { return i == j; });
}
/// Of a column of ones and a row: the row in each of `rows` rows.
template <Scalar T>
Var<T> in_each_row(Index rows, Var<T> row) {
  return matmul(shared_constant(row.tape(), rows, 1, [](Index, Index) { return 1; }), row);
}

}  // namespace pushforward::detail
