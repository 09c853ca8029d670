#pragma once

#include <pushforward/shaped_transformer.hpp>

namespace pushforward {

/// y = 1 - exp(-c (exp(r x) - 1)), the Gompertz distribution function, from the positive numbers to (0, 1); parameters:
/// raw numbers of c and r, each exp(bound tanh(raw / bound)).
/// log derivative: log(c r) + r x - h, h = c (exp(r x) - 1).
///
/// @par Numerics  values stop at the numbers of T next to the ends.
/// @source TFP's `GompertzCDF(concentration = c, rate = r)`.
template <Scalar T>
struct GompertzMap {
  static constexpr const char *name = "GompertzTransformer", *type = "gompertz_transformer";
  static constexpr Index parameters = 2;
  static constexpr double usual_bound = 5;
  static constexpr Interval domain = positive, codomain = unit_interval;
  static MappedElements<T> forward(Var<T> x, std::span<const Var<T>> params, double bound);
  static MappedElements<T> inverse(Var<T> y, std::span<const Var<T>> params, double bound);
};
template <Scalar T>
using GompertzTransformer = ShapedTransformer<GompertzMap, T>;

extern template struct GompertzMap<float>;
extern template struct GompertzMap<double>;

}  // namespace pushforward
