#pragma once

// Elementwise operations of a batch with an interval for each column.

#include <cstdint>

#include <pushforward/ops.hpp>

namespace pushforward::detail {

/// Values of column c are at [c * stride]. Arrays need to live for the call alone.
template <Scalar T>
struct ReplacementRange {
  const double* low;
  const double* high;
  const T* replacement;
  Index stride;  ///< 1, or 0: the same for all columns
  bool closed;   ///< both ends belong to the interval; else none
};
/// x with the replacement in place of elements that are not in the interval: they get no gradient, and their rows are
/// marked in `outside` (of this thread's rows). NaN is on neither side and stays.
template <Scalar T>
Var<T> replace_outside(Var<T> x, const ReplacementRange<T>& range, std::uint8_t* outside);

/// x with column c moved into [low[c], high[c]]; NaN stays. The gradient is that of the identity, beyond bounds too.
template <Scalar T>
Var<T> clamp_columns(Var<T> x, const T* low, const T* high);

/// Rows of numbers that outlive the tape.
template <Scalar T>
struct SigmoidRange {
  const T* low;
  const T* high;
  const T* width;  ///< high - low
  const T* first;  ///< the smallest and the largest result
  const T* last;
};
/// low + width sigmoid(x), measured from the nearer bound and moved into [first, last]; the gradient is that of the
/// sigmoid, as if nothing had been moved.
template <Scalar T>
Var<T> sigmoid_between(Var<T> x, const SigmoidRange<T>& range);

}  // namespace pushforward::detail
