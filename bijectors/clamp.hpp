#pragma once

#include <limits>

#include "src/ops/common.hpp"

namespace pushforward::detail {

/// x moved into [low, high]; the gradient passes as if it had not been moved. NaN stays.
template <Scalar T>
Var<T> clamp_inside(Var<T> x, T low, T high) {
  const Var<T> y = like(x, x.wants_gradient());
  for (Index i = 0; i < pieces(x); ++i) {
    const T* in = piece(x, i);
    T* out = piece(y, i);
    for (Index j = 0, n = piece_size(x); j < n; ++j) out[j] = in[j] < low ? low : in[j] > high ? high : in[j];
  }
  record(y, [x, y] {
    for (Index i = 0; i < pieces(x); ++i)
      kernel<T>().accumulate(gradient_piece(y, i), gradient_piece(x, i), piece_size(x));
  });
  return y;
}

/// x, or the smallest positive number of T where x has underflowed to 0.
template <Scalar T>
Var<T> clamp_positive(Var<T> x) {
  return clamp_inside(x, std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::infinity());
}

}  // namespace pushforward::detail
