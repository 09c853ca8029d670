#pragma once

#include <limits>

#include <pushforward/ops.hpp>

namespace pushforward::detail {

/// x, or the smallest positive number of T where x has underflowed to 0.
template <Scalar T>
Var<T> clamp_positive(Var<T> x) {
  return clamp(x, std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::infinity());
}

}  // namespace pushforward::detail
