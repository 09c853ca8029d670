#pragma once

#include <pushforward/shaped_transformer.hpp>

namespace pushforward {

/// The inverse of the Yeo-Johnson transformation with a learned power l = 2 sigmoid(r), r = bound tanh(raw / bound), of
/// the real line onto itself; parameter: raw, 0 the identity. On the way to the base side
///   x = [(1 + y)^l - 1] / l for y >= 0,  x = -[(1 - y)^(2 - l) - 1] / (2 - l) below,
/// which takes skewed columns to symmetric ones. log derivative, in forward: (1 / m - 1) log(1 + m |x|), m = l for x >=
/// 0, else 2 - l.
///
/// @par Numerics  both directions in closed form, by log1p and expm1; l and 2 - l each from its own sigmoid. The
///                density is continuous, its gradient in y has a kink at 0.
/// @source Yeo and Johnson 2000, eq. 2.1; SciPy's `yeojohnson(y, lmbda)` is the inverse.
template <Scalar T>
struct YeoJohnsonMap {
  static constexpr const char *name = "YeoJohnsonTransformer", *type = "yeo_johnson_transformer";
  static constexpr Index parameters = 1;
  static constexpr double usual_bound = 5;
  static constexpr Interval domain = real_line, codomain = real_line;
  static MappedElements<T> forward(Var<T> x, std::span<const Var<T>> params, double bound);
  static MappedElements<T> inverse(Var<T> y, std::span<const Var<T>> params, double bound);
};
template <Scalar T>
using YeoJohnsonTransformer = ShapedTransformer<YeoJohnsonMap, T>;

extern template struct YeoJohnsonMap<float>;
extern template struct YeoJohnsonMap<double>;

}  // namespace pushforward
