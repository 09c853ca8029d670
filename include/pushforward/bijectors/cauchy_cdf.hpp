#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = 1/2 + atan(x) / pi, the standard Cauchy distribution function, from the real line to (0, 1).
///
/// log_det = -sum_d [log pi + log(1 + x_d^2)]
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    Far on the left y = atan(1 / |x|) / pi, with all digits; y strictly between 0 and 1. `inverse` is a
///                  cotangent of the nearer end's distance.
/// @par Errors      In `inverse`, y <= 0 and y >= 1 lie outside the codomain.
/// @par Cost        O(N dim), an atan, or two sin and two cos, and a log1p for each value.
/// @source nflows' `CauchyCDF`.
template <Scalar T>
struct CauchyCDFMap {
  static constexpr const char *name = "CauchyCDF", *type = "cauchy_cdf";
  static constexpr Interval domain = real_line, codomain = unit_interval;
  static MappedElements<T> forward(Var<T> x);
  static MappedElements<T> inverse(Var<T> y);
};
template <Scalar T>
using CauchyCDF = FixedBijector<CauchyCDFMap, T>;
template <Scalar T>
using CauchyCDFTransformer = FixedTransformer<CauchyCDFMap, T>;

extern template struct CauchyCDFMap<float>;
extern template struct CauchyCDFMap<double>;

}  // namespace pushforward
