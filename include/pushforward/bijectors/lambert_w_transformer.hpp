#pragma once

#include <pushforward/shaped_transformer.hpp>

namespace pushforward {

/// y = x exp(d x^2 / 2), of the real line onto itself: Tukey's h, which makes the tails of a normal base heavy, with
/// index 1 / d; parameter: raw, d = sigmoid(raw - 3) between 0 and 1: 0 gives d = 0.047.
/// log derivative: d x^2 / 2 + log(1 + d x^2).
///
/// @par Numerics  `inverse` is y exp(-W(d y^2) / 2) with Lambert's W, which needs no care for small d. `forward`
///                overflows to infinity beyond d x^2 = 1400 (float: 170).
/// @source Goerg 2015, eq. 5 and 9; TFP's `LambertWTail(tailweight)`.
template <Scalar T>
struct LambertWMap {
  static constexpr const char *name = "LambertWTransformer", *type = "lambert_w_transformer";
  static constexpr Index parameters = 1;
  static constexpr Interval domain = real_line, codomain = real_line;
  static MappedElements<T> forward(Var<T> x, std::span<const Var<T>> params);
  static MappedElements<T> inverse(Var<T> y, std::span<const Var<T>> params);
};
template <Scalar T>
using LambertWTransformer = ShapedTransformer<LambertWMap, T>;

extern template struct LambertWMap<float>;
extern template struct LambertWMap<double>;

}  // namespace pushforward
