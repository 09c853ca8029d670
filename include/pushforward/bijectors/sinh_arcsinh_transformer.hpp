#pragma once

#include <pushforward/shaped_transformer.hpp>

namespace pushforward {

/// y = k sinh(t [arsinh(x) + s]), k = 2 / sinh(t arsinh 2), of the real line onto itself; parameters: the skewness s
/// and raw, t = exp(bound tanh(raw / bound)) the weight of the tails (above 1 heavier). All 0 is the identity.
/// log derivative: log(k t) + log cosh(t [arsinh(x) + s]) - log(1 + x^2) / 2.
///
/// @par Numerics  both directions in closed form and without cancellation; the outer sinh overflows to infinity.
/// @source Jones and Pewsey 2009, eq. 1; TFP's `SinhArcsinh(skewness, tailweight)`, whose factor k is taken.
template <Scalar T>
struct SinhArcsinhMap {
  static constexpr const char *name = "SinhArcsinhTransformer", *type = "sinh_arcsinh_transformer";
  static constexpr Index parameters = 2;
  static constexpr double usual_bound = 2;
  static constexpr Interval domain = real_line, codomain = real_line;
  static MappedElements<T> forward(Var<T> x, std::span<const Var<T>> params, double bound);
  static MappedElements<T> inverse(Var<T> y, std::span<const Var<T>> params, double bound);
};
template <Scalar T>
using SinhArcsinhTransformer = ShapedTransformer<SinhArcsinhMap, T>;

extern template struct SinhArcsinhMap<float>;
extern template struct SinhArcsinhMap<double>;

}  // namespace pushforward
