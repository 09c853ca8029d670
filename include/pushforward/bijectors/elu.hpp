#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = x for x >= 0 and exp(x) - 1 below, from the real line to the numbers above -1; the derivative is continuous.
///
/// log_det = sum_d min(x_d, 0)
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` stops at the number of T next to -1.
/// @par Errors      In `inverse`, y <= -1 lies outside the codomain.
/// @par Cost        O(N dim), an expm1 or a log1p for each value.
/// @source Clevert et al. 2016, with alpha = 1; pyro's `ELUTransform`.
template <Scalar T>
struct EluMap {
  static constexpr const char *name = "Elu", *type = "elu";
  static constexpr Interval domain = real_line, codomain = {-1, std::numeric_limits<double>::infinity()};
  static MappedElements<T> forward(Var<T> x);
  static MappedElements<T> inverse(Var<T> y);
};
template <Scalar T>
using Elu = FixedBijector<EluMap, T>;
template <Scalar T>
using EluTransformer = FixedTransformer<EluMap, T>;

extern template struct EluMap<float>;
extern template struct EluMap<double>;

}  // namespace pushforward
