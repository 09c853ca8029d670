#pragma once

#include <pushforward/shaped_transformer.hpp>

namespace pushforward {

/// y = exp(-(x / l)^-k), the Fréchet distribution function, from the positive numbers to (0, 1); parameters: log l, and
/// raw, k = exp(bound tanh(raw / bound)).
/// log derivative: log(k / x) + t - exp(t), t = -k log(x / l).
///
/// @par Numerics  all through log x; values stop at the numbers of T next to the ends.
/// @source TFP's `FrechetCDF(scale = l, concentration = k)`.
template <Scalar T>
struct FrechetMap {
  static constexpr const char *name = "FrechetTransformer", *type = "frechet_transformer";
  static constexpr Index parameters = 2;
  static constexpr double usual_bound = 5;
  static constexpr Interval domain = positive, codomain = unit_interval;
  static MappedElements<T> forward(Var<T> x, std::span<const Var<T>> params, double bound);
  static MappedElements<T> inverse(Var<T> y, std::span<const Var<T>> params, double bound);
};
template <Scalar T>
using FrechetTransformer = ShapedTransformer<FrechetMap, T>;

extern template struct FrechetMap<float>;
extern template struct FrechetMap<double>;

}  // namespace pushforward
