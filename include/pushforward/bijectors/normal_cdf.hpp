#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = Phi(x), the standard normal distribution function, from the real line to (0, 1).
///
/// log_det = -sum_d [x_d^2 / 2 + log(2 pi) / 2]
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` is exp(log Phi(x)), with all digits in the left tail down to the smallest numbers of T,
///                  and stops at the numbers of T next to 0 and 1; on the right a y near 1 has as many digits as 1 - y
///                  has in T. `inverse` solves log Phi(x) = log y.
/// @par Errors      In `inverse`, y <= 0 and y >= 1 lie outside the codomain.
/// @par Cost        O(N dim), an erfc or its inverse, in double, for each value.
/// @source TFP's `NormalCDF`.
template <Scalar T>
struct NormalCDFMap {
  static constexpr const char *name = "NormalCDF", *type = "normal_cdf";
  static constexpr Interval domain = real_line, codomain = unit_interval;
  static MappedElements<T> forward(Var<T> x);
  static MappedElements<T> inverse(Var<T> y);
};
template <Scalar T>
using NormalCDF = FixedBijector<NormalCDFMap, T>;
template <Scalar T>
using NormalCDFTransformer = FixedTransformer<NormalCDFMap, T>;

extern template struct NormalCDFMap<float>;
extern template struct NormalCDFMap<double>;

}  // namespace pushforward
