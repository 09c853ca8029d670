#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include <pushforward/ops.hpp>

namespace pushforward::detail {

/// exp of it and of its negative are normal numbers of T.
template <Scalar T>
constexpr double widest_log_scale = sizeof(T) == 8 ? 708 : 87;

/// s = bound tanh(raw / bound), not beyond widest_log_scale where the bound is.
template <Scalar T>
Var<T> bounded_log_scale(Var<T> raw, double bound) {
  constexpr double widest = widest_log_scale<T>;
  const Var<T> s = soft_bound(raw, bound);
  return bound > widest ? clamp(s, static_cast<T>(-widest), static_cast<T>(widest)) : s;
}

/// The raw value of s.
inline double raw_log_scale(double s, double bound) { return std::isinf(bound) ? s : bound * std::atanh(s / bound); }

/// The largest |s|.
template <Scalar T>
double largest_log_scale(double bound) {
  return std::clamp<double>(bound, std::numeric_limits<T>::min(), widest_log_scale<T>);
}

}  // namespace pushforward::detail
