#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = sinh(x) = [exp(x) - exp(-x)] / 2, of the real line onto itself; the identity near 0. Its `Invert` is arsinh.
///
/// log_det = sum_d log cosh(x_d) = sum_d [|x_d| + softplus(-2 |x_d|) - log 2]
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` keeps the digits of small x and overflows to infinity beyond |x| = 709.78 (float: 88.72);
///                  the log_det does not. `inverse` holds for every finite y, also where y^2 overflows.
/// @par Cost        O(N dim), two expm1 and a softplus, or two log1p, for each value.
/// @source TFP's `Sinh`; its `Arcsinh` is the inverse.
template <Scalar T>
struct SinhMap {
  static constexpr const char *name = "Sinh", *type = "sinh";
  static constexpr Interval domain = real_line, codomain = real_line;
  static MappedElements<T> forward(Var<T> x);
  static MappedElements<T> inverse(Var<T> y);
};
template <Scalar T>
using Sinh = FixedBijector<SinhMap, T>;
template <Scalar T>
using SinhTransformer = FixedTransformer<SinhMap, T>;

extern template struct SinhMap<float>;
extern template struct SinhMap<double>;

}  // namespace pushforward
