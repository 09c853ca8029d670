#pragma once

#include <pushforward/shaped_transformer.hpp>

namespace pushforward {

/// y = 1 - (1 + c x / s)^(-1 / c), the generalized Pareto distribution function of a heavy tail, from the positive
/// numbers to (0, 1); parameters: log s, and raw, c = exp(bound tanh(raw / bound)).
/// log derivative: -log s - (1 + 1 / c) u, u = log(1 + c x / s).
///
/// @par Numerics  all through log x; values stop at the numbers of T next to the ends.
/// @source TFP's `GeneralizedParetoCDF(scale = s, concentration = c)` for c > 0.
template <Scalar T>
struct GeneralizedParetoMap {
  static constexpr const char *name = "GeneralizedParetoTransformer", *type = "generalized_pareto_transformer";
  static constexpr Index parameters = 2;
  static constexpr double usual_bound = 5;
  static constexpr Interval domain = positive, codomain = unit_interval;
  static MappedElements<T> forward(Var<T> x, std::span<const Var<T>> params, double bound);
  static MappedElements<T> inverse(Var<T> y, std::span<const Var<T>> params, double bound);
};
template <Scalar T>
using GeneralizedParetoTransformer = ShapedTransformer<GeneralizedParetoMap, T>;

extern template struct GeneralizedParetoMap<float>;
extern template struct GeneralizedParetoMap<double>;

}  // namespace pushforward
