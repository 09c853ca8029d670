#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = exp(x) - 1, from the real line to the numbers above -1; the identity near 0. Its `Invert` is log1p.
///
/// log_det = sum_d x_d
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` stops at the number of T next to -1, and overflows to infinity above x = 709.78 (float:
///                  88.72).
/// @par Errors      In `inverse`, y <= -1 lies outside the codomain.
/// @par Cost        O(N dim), one expm1 or log1p for each value.
/// @source TFP's `Expm1`; its `Log1p` is the inverse.
template <Scalar T>
struct Expm1Map {
  static constexpr const char *name = "Expm1", *type = "expm1";
  static constexpr Interval domain = real_line, codomain = {-1, std::numeric_limits<double>::infinity()};
  static MappedElements<T> forward(Var<T> x);
  static MappedElements<T> inverse(Var<T> y);
};
template <Scalar T>
using Expm1 = FixedBijector<Expm1Map, T>;
template <Scalar T>
using Expm1Transformer = FixedTransformer<Expm1Map, T>;

extern template struct Expm1Map<float>;
extern template struct Expm1Map<double>;

}  // namespace pushforward
