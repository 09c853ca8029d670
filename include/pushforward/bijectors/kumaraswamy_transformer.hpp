#pragma once

#include <pushforward/shaped_transformer.hpp>

namespace pushforward {

/// y = 1 - (1 - x^a)^b, the Kumaraswamy distribution function, of (0, 1) onto itself; parameters: raw values of a and
/// b, each exp(bound tanh(raw / bound)); all 0 is the identity.
/// log derivative: log(a b) + (a - 1) log x + (b - 1) log(1 - x^a).
///
/// @par Numerics  by logarithms; values stop at the numbers of T next to 0 and 1.
/// @source Kumaraswamy 1980; TFP's `KumaraswamyCDF(concentration1 = a, concentration0 = b)`.
template <Scalar T>
struct KumaraswamyMap {
  static constexpr const char *name = "KumaraswamyTransformer", *type = "kumaraswamy_transformer";
  static constexpr Index parameters = 2;
  static constexpr double usual_bound = 5;
  static constexpr Interval domain = unit_interval, codomain = unit_interval;
  static MappedElements<T> forward(Var<T> x, std::span<const Var<T>> params, double bound);
  static MappedElements<T> inverse(Var<T> y, std::span<const Var<T>> params, double bound);
};
template <Scalar T>
using KumaraswamyTransformer = ShapedTransformer<KumaraswamyMap, T>;

extern template struct KumaraswamyMap<float>;
extern template struct KumaraswamyMap<double>;

}  // namespace pushforward
