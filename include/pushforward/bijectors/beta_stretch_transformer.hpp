#pragma once

#include <pushforward/shaped_transformer.hpp>

namespace pushforward {

/// y = x^a / [x^a + (1 - x)^a] = sigmoid(a logit x), of (0, 1) onto itself; parameter: raw, a = exp(bound tanh(raw /
/// bound)); 0 is the identity.
/// log derivative: log a + log[y (1 - y)] - log[x (1 - x)].
///
/// @par Numerics  by logarithms; values stop at the numbers of T next to 0 and 1.
/// @source bijx' `BetaStretch`.
template <Scalar T>
struct BetaStretchMap {
  static constexpr const char *name = "BetaStretchTransformer", *type = "beta_stretch_transformer";
  static constexpr Index parameters = 1;
  static constexpr double usual_bound = 5;
  static constexpr Interval domain = unit_interval, codomain = unit_interval;
  static MappedElements<T> forward(Var<T> x, std::span<const Var<T>> params, double bound);
  static MappedElements<T> inverse(Var<T> y, std::span<const Var<T>> params, double bound);
};
template <Scalar T>
using BetaStretchTransformer = ShapedTransformer<BetaStretchMap, T>;

extern template struct BetaStretchMap<float>;
extern template struct BetaStretchMap<double>;

}  // namespace pushforward
