#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = log(1 + exp(x)), from the real line to the positive numbers; close to the identity for large x.
///
/// log_det = -sum_d softplus(-x_d)
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    No overflow for any x. `forward` never gives 0, but stops at the smallest positive number of T.
///                  `inverse` is y + log(-expm1(-y)), accurate for tiny y (x = log y) and for large y (x = y).
/// @par Errors      In `inverse`, y <= 0 lies outside the codomain.
/// @par Cost        O(N dim), two softplus, or an expm1 and a log, for each value.
template <Scalar T>
struct SoftplusMap {
  static constexpr const char *name = "Softplus", *type = "softplus";
  static constexpr Interval domain = real_line, codomain = positive;
  static MappedElements<T> forward(Var<T> x);
  static MappedElements<T> inverse(Var<T> y);
};
template <Scalar T>
using Softplus = FixedBijector<SoftplusMap, T>;
template <Scalar T>
using SoftplusTransformer = FixedTransformer<SoftplusMap, T>;

extern template struct SoftplusMap<float>;
extern template struct SoftplusMap<double>;

}  // namespace pushforward
