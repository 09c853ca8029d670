#pragma once

// What the operations' sources share: output allocation and loops over the contiguous pieces of a matrix.

#include <algorithm>
#include <cstddef>
#include <string>

#include <pushforward/error.hpp>
#include <pushforward/ops.hpp>

#include "src/kernels/kernels.hpp"
#include "src/ops/trace.hpp"

namespace pushforward::detail {

template <class T>
const kernels::Table<T>& kernel() {
  return kernels::table<T>();
}

/// Tape::value for operations.
template <class T>
T* address(Var<T> x, Index col) {
  return x.node()->value + col * x.node()->ld + x.tape().begin();
}
template <Scalar T>
double* address(Column<T> c) {
  return c.node()->value + c.node()->tape->begin();
}

template <class T>
Index shared_size(Var<T> x) {
  return x.node()->rows * x.node()->cols;
}

inline Index whole_blocks(Index n) { return (n + 15) / 16 * 16; }

/// Output of the same kind and size as `x`.
template <class T>
Var<T> like(Var<T> x, bool wanted) {
  Tape<T>& tape = x.tape();
  return x.is_shared() ? tape.shared(x.node()->rows, x.cols(), wanted) : tape.matrix(x.cols(), wanted);
}

/// Padded length of one column of a batch, or of a whole shared matrix.
template <class T>
Index column_size(Var<T> x) {
  return x.is_shared() ? whole_blocks(shared_size(x)) : x.tape().padded_rows();
}
/// A batch of one block of rows: its columns follow on each other.
template <class T>
bool is_one_piece(Var<T> x) {
  return x.tape().padded_rows() == x.tape().leading_dimension();
}
/// Number of contiguous pieces of this thread's part of `x`, the padded length of each, and its values and gradient.
template <class T>
Index pieces(Var<T> x) {
  return x.is_shared() || is_one_piece(x) ? 1 : x.cols();
}
template <class T>
Index piece_size(Var<T> x) {
  return x.is_shared() || !is_one_piece(x) ? column_size(x) : x.cols() * x.tape().leading_dimension();
}
/// Without the padding of shared matrices: an operation that is not finite at the zeros there must not write to their
/// gradients, which are promised to stay zero.
template <class T>
Index exact_piece_size(Var<T> x) {
  return x.is_shared() ? shared_size(x) : piece_size(x);
}
template <class T>
T* piece(Var<T> x, Index i) {
  return x.is_shared() ? x.node()->value : address(x, i);
}
template <class T>
T* gradient_piece(Var<T> x, Index i) {
  return x.is_shared() ? x.node()->gradient : x.tape().gradient(x, i);
}

/// Records `f` where the gradient of `y` is complete: with the rows, or between parameters and shared matrices.
template <class T, class F>
void record(Var<T> y, F f) {
  if (!y.wants_gradient()) return;
  auto guarded = [y, f] {
    if (Tape<T>::has_gradient(y)) f();
  };
  if (y.is_shared())
    y.tape().on_shared(guarded);
  else
    y.tape().on_backward(guarded);
}

template <Scalar T>
bool wanted(Column<T> c) {
  return !c.is_zero() && c.node()->wanted;
}
template <Scalar T, class F>
void record(Column<T> y, F f) {
  if (!wanted(y)) return;
  y.node()->tape->on_backward([y, f] {
    if (Tape<T>::has_gradient(y)) f();
  });
}

/// The same value in all rows.
template <Scalar T>
void fill_column(Column<T> y, double value) {
  std::fill_n(address(y), y.node()->tape->padded_rows(), value);
  note(*y.node()->tape, Operation::fill, std::tuple(y), std::tuple(), {value});
}
template <Scalar T>
void copy_column(Column<T> y, Column<T> x) {
  std::copy_n(address(x), y.node()->tape->padded_rows(), address(y));
  note(*y.node()->tape, Operation::copy, std::tuple(y), std::tuple(x));
}
/// A matrix of one value in all places.
template <Scalar T>
Var<T> filled(Tape<T>& tape, Index cols, std::type_identity_t<T> value) {
  const Var<T> y = tape.matrix(cols, false);
  for (Index c = 0; c < cols; ++c) std::fill_n(address(y, c), tape.padded_rows(), value);
  note(tape, Operation::fill, std::tuple(y), std::tuple(), {static_cast<double>(value)});
  return y;
}

/// Whole columns, all threads' rows: for reductions.
template <class T>
const T* full_column(Var<T> x, Index col) {
  return x.node()->value + col * x.node()->ld;
}
template <class T>
const T* full_gradient(Var<T> x, Index col) {
  return x.node()->gradient + col * x.node()->ld;
}

[[noreturn]] inline void shape_error(const char* operation, Index expected, Index got) {
  throw ShapeError(std::string(operation) + ": expected " + std::to_string(expected) + " columns, got " +
                   std::to_string(got));
}

}  // namespace pushforward::detail
