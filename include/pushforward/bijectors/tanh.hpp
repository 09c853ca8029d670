#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = tanh(x), from the real line to (-1, 1).
///
/// log_det = 2 sum_d [log 2 - |x_d| - softplus(-2 |x_d|)]
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` stops at the first number of T inside the bounds: y lies strictly between -1 and 1 for
///                  every x. The log_det stays finite and exact for every x, also where y has stopped. `inverse` is
///                  [log1p(y) - log1p(-y)] / 2, accurate around 0 and next to both bounds.
/// @par Errors      In `inverse`, y <= -1 and y >= 1 lie outside the codomain.
/// @par Cost        O(N dim), a tanh and a softplus, or two log1p, for each value.
template <Scalar T>
struct TanhMap {
  static constexpr const char *name = "Tanh", *type = "tanh";
  static constexpr Interval domain = real_line, codomain = {-1, 1};
  static MappedElements<T> forward(Var<T> x);
  static MappedElements<T> inverse(Var<T> y);
};
template <Scalar T>
using Tanh = FixedBijector<TanhMap, T>;
template <Scalar T>
using TanhTransformer = FixedTransformer<TanhMap, T>;

extern template struct TanhMap<float>;
extern template struct TanhMap<double>;

}  // namespace pushforward
