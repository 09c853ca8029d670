#pragma once

#include <pushforward/bijectors/exp.hpp>

namespace pushforward {

/// y = log(x), from the positive numbers to the real line: the inverse of `Exp` as a class of its own.
///
/// log_det = -sum_d log(x_d)
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `inverse` overflows to infinity above y = 709.78 (float: 88.72) and never gives 0; see `Exp`.
/// @par Errors      In `forward`, x <= 0 lies outside the domain.
/// @par Cost        O(N dim), one log or exp for each value.
template <Scalar T>
struct LogMap {
  static constexpr const char *name = "Log", *type = "log";
  static constexpr Interval domain = positive, codomain = real_line;
  static MappedElements<T> forward(Var<T> x) { return ExpMap<T>::inverse(x); }
  static MappedElements<T> inverse(Var<T> y) { return ExpMap<T>::forward(y); }
};
template <Scalar T>
using Log = FixedBijector<LogMap, T>;
template <Scalar T>
using LogTransformer = FixedTransformer<LogMap, T>;

extern template struct LogMap<float>;
extern template struct LogMap<double>;

}  // namespace pushforward
