#pragma once

#include <pushforward/shaped_transformer.hpp>

namespace pushforward {

/// Gives a normal base tails that fall as powers, on each side with a learned index of its own: for x >= 0
///   y = [erfc(x / sqrt 2)^(-l) - 1] / l,
/// and the same with signs turned for x < 0. Parameters: a raw value for the right and for the left, l = exp(bound
/// tanh(raw / bound) - 2): 0 gives l = 0.14. Far out P(Y > y) falls as y^(-1 / l). Put it last, at the side of the
/// data. log derivative: -(l + 1) log erfc(|x| / sqrt 2) - x^2 / 2 + log(2 / pi) / 2.
///
/// @par Numerics  by logarithms of erfc, with all digits near 0 and as far out as x^2 is finite; the slope at 0 is
///                sqrt(2 / pi) for every l. `forward` stops at the largest numbers of T.
/// @source Hickling and Prangle 2024 (tail transform flows), eq. 5, with their scale and shift 1 and 0.
template <Scalar T>
struct TwoSidedTailMap {
  static constexpr const char *name = "TwoSidedTailTransformer", *type = "two_sided_tail_transformer";
  static constexpr Index parameters = 2;
  static constexpr double usual_bound = 3;
  static constexpr Interval domain = real_line, codomain = real_line;
  static MappedElements<T> forward(Var<T> x, std::span<const Var<T>> params, double bound);
  static MappedElements<T> inverse(Var<T> y, std::span<const Var<T>> params, double bound);
};
template <Scalar T>
using TwoSidedTailTransformer = ShapedTransformer<TwoSidedTailMap, T>;

extern template struct TwoSidedTailMap<float>;
extern template struct TwoSidedTailMap<double>;

}  // namespace pushforward
