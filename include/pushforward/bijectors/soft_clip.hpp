#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// A ramp with round corners, from the real line to (low, high): the identity well inside, and constant well outside.
///
/// y = high - W s(W - s(x - low)) / s(W),  s(v) = hinge softplus(v / hinge),  W = high - low
/// log_det = sum_d [log sigmoid((x_d - low) / hinge) + log sigmoid((W - s(x_d - low)) / hinge) + log(W / s(W))]
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none; `low` (0), `high` (1), finite, and `hinge` (1), the width of the corners, positive, are
///                  constants.
/// @par Numerics    `forward` stops at the numbers of T next to the ends. The log_det is exact where y has stopped.
///                  y - low and high - y keep their digits.
/// @par Errors      In `inverse`, y <= low and y >= high lie outside the codomain.
/// @par Cost        O(N dim), four softplus, or two expm1 and four log, for each value.
/// @throws DomainError  unless low < high are finite and hinge is positive and finite.
/// @source TFP's `SoftClip(low, high, hinge_softness)`.
template <Scalar T>
struct SoftClipMap {
  static constexpr const char *name = "SoftClip", *type = "soft_clip";
  static constexpr Interval domain = real_line;
  Interval codomain = {};

  SoftClipMap(double low = 0, double high = 1, double hinge = 1);
  MappedElements<T> forward(Var<T> x) const;
  MappedElements<T> inverse(Var<T> y) const;
  void fields(Fields<T>& f);
  void restored();

 private:
  struct Constants;
  double low_, high_, hinge_;
};
template <Scalar T>
using SoftClip = FixedBijector<SoftClipMap, T>;
template <Scalar T>
using SoftClipTransformer = FixedTransformer<SoftClipMap, T>;

extern template struct SoftClipMap<float>;
extern template struct SoftClipMap<double>;

}  // namespace pushforward
