#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = erfc(exp(-x / 2) / sqrt(2)), the standard Moyal distribution function, from the real line to (0, 1). Location and
/// scale: an `Affine` before it.
///
/// log_det = -sum_d [(x_d + exp(-x_d)) / 2 + log(2 pi) / 2]
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` stops at the numbers of T next to 0 and 1. `inverse` starts from the nearer end.
/// @par Errors      In `inverse`, y <= 0 and y >= 1 lie outside the codomain.
/// @par Cost        O(N dim), two exp and a log Phi for each value; `inverse` an inverse error function besides.
/// @source TFP's `MoyalCDF` with loc 0 and scale 1.
template <Scalar T>
struct MoyalCDFMap {
  static constexpr const char *name = "MoyalCDF", *type = "moyal_cdf";
  static constexpr Interval domain = real_line, codomain = unit_interval;
  static MappedElements<T> forward(Var<T> x);
  static MappedElements<T> inverse(Var<T> y);
};
template <Scalar T>
using MoyalCDF = FixedBijector<MoyalCDFMap, T>;
template <Scalar T>
using MoyalCDFTransformer = FixedTransformer<MoyalCDFMap, T>;

extern template struct MoyalCDFMap<float>;
extern template struct MoyalCDFMap<double>;

}  // namespace pushforward
