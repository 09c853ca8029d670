#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = x / (1 + |x|), from the real line to (-1, 1), with tails that fall as 1 / |x|.
///
/// log_det = -2 sum_d log(1 + |x_d|)
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` stops at the numbers of T next to -1 and 1. `inverse` is y / (1 - |y|).
/// @par Errors      In `inverse`, |y| >= 1 lies outside the codomain.
/// @par Cost        O(N dim), a division and a logarithm for each value.
/// @source Bergstra et al. 2009; TFP's `Softsign`.
template <Scalar T>
struct SoftsignMap {
  static constexpr const char *name = "Softsign", *type = "softsign";
  static constexpr Interval domain = real_line, codomain = {-1, 1};
  static MappedElements<T> forward(Var<T> x);
  static MappedElements<T> inverse(Var<T> y);
};
template <Scalar T>
using Softsign = FixedBijector<SoftsignMap, T>;
template <Scalar T>
using SoftsignTransformer = FixedTransformer<SoftsignMap, T>;

extern template struct SoftsignMap<float>;
extern template struct SoftsignMap<double>;

}  // namespace pushforward
