#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = exp(x), from the real line to the positive numbers.
///
/// log_det = sum_d x_d
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` overflows to infinity above x = 709.78 (float: 88.72), as std::exp does. It never gives 0
///                  but stops at the smallest positive number of T, so that every finite y can be mapped back. The
///                  log_det is exact for every x, also where y has stopped. `inverse` is accurate for every positive y.
/// @par Errors      In `inverse`, y <= 0 lies outside the codomain.
/// @par Cost        O(N dim), one exp or log for each value.
template <Scalar T>
struct ExpMap {
  static constexpr const char *name = "Exp", *type = "exp";
  static constexpr Interval domain = real_line, codomain = positive;
  static MappedElements<T> forward(Var<T> x);
  static MappedElements<T> inverse(Var<T> y);
};
template <Scalar T>
using Exp = FixedBijector<ExpMap, T>;
template <Scalar T>
using ExpTransformer = FixedTransformer<ExpMap, T>;

extern template struct ExpMap<float>;
extern template struct ExpMap<double>;

}  // namespace pushforward
