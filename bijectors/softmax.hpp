#pragma once

#include <algorithm>

#include <pushforward/pass.hpp>

#include "bijectors/clamp.hpp"
#include "bijectors/surface.hpp"

namespace pushforward::detail {

/// The softmax of each row, no part of it below the smallest positive number of T, and the sum of its logarithms.
template <Scalar T>
Mapped<T> softmax_with_log_sum(Var<T> logits) {
  Tape<T>& tape = logits.tape();
  // Neither values nor gradients depend on what is taken out: the largest of each row, as a constant.
  const Var<T> top = filled(tape, 1, T(0));
  T* t = tape.value(top, 0);
  std::copy_n(tape.value(logits, 0), tape.padded_rows(), t);
  for (Index c = 1; c < logits.cols(); ++c) {
    const T* v = tape.value(logits, c);
    for (Index i = 0; i < tape.padded_rows(); ++i) t[i] = std::max(t[i], v[i]);
  }
  const Var<T> below = logits - repeated(top, logits.cols());
  const Column<T> log_sum = log1p(scale_shift(row_sum(exp(below)), 1.0, -1.0));
  const Var<T> y = exp(below - repeated(to_matrix(log_sum), logits.cols()));
  return {clamp_positive(y), row_sum(below) - log_sum * static_cast<double>(logits.cols())};
}

}  // namespace pushforward::detail
