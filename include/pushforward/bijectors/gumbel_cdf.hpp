#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = exp(-exp(-x)), the standard Gumbel distribution function, from the real line to (0, 1). Location and scale: an
/// `Affine` before it.
///
/// log_det = -sum_d [x_d + exp(-x_d)]
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` stops at the numbers of T next to 0 and 1. `inverse` is -log(-log y).
/// @par Errors      In `inverse`, y <= 0 and y >= 1 lie outside the codomain.
/// @par Cost        O(N dim), two exp or two log for each value.
/// @source TFP's `GumbelCDF` with loc 0 and scale 1.
template <Scalar T>
struct GumbelCDFMap {
  static constexpr const char *name = "GumbelCDF", *type = "gumbel_cdf";
  static constexpr Interval domain = real_line, codomain = unit_interval;
  static MappedElements<T> forward(Var<T> x);
  static MappedElements<T> inverse(Var<T> y);
};
template <Scalar T>
using GumbelCDF = FixedBijector<GumbelCDFMap, T>;
template <Scalar T>
using GumbelCDFTransformer = FixedTransformer<GumbelCDFMap, T>;

extern template struct GumbelCDFMap<float>;
extern template struct GumbelCDFMap<double>;

}  // namespace pushforward
