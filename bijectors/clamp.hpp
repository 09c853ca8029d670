#pragma once

#include <cmath>
#include <limits>

#include <pushforward/ops.hpp>

namespace pushforward::detail {

/// x, or the smallest positive number of T where x has underflowed to 0.
template <Scalar T>
Var<T> clamp_positive(Var<T> x) {
  return clamp(x, std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::infinity());
}

/// The same, or the largest number of T where it has overflowed.
template <Scalar T>
Var<T> clamp_positive_finite(Var<T> x) {
  return clamp(x, std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::max());
}

/// x, or the largest number of T where it has overflowed.
template <Scalar T>
Var<T> clamp_finite(Var<T> x) {
  return clamp(x, std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max());
}

/// x, moved to the numbers of T next to 0 and 1 where it has been rounded to these.
template <Scalar T>
Var<T> clamp_to_unit(Var<T> x) {
  return clamp(x, std::numeric_limits<T>::denorm_min(), std::nextafter(T(1), T(0)));
}

}  // namespace pushforward::detail
