#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = (1 + power x)^(1 / power), from the numbers above -1 / power to the positive ones: the inverse of the Box-Cox
/// transformation (y^power - 1) / power. Power 1 is the shift by 1; the limit for 0 is Exp.
///
/// log_det = sum_d (1 / power - 1) log(1 + power x_d)
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none; `power` is a constant, positive and finite.
/// @par Numerics    By log1p and expm1: y near 1 keeps the digits of x near 0, for tiny powers too.
/// @par Errors      Values outside domain and codomain lie outside.
/// @par Cost        O(N dim), an exp and a log1p for each value.
/// @throws DomainError  if power is not positive and finite.
/// @source Box and Cox 1964, eq. 1; TFP's `PowerTransform(power)`.
template <Scalar T>
struct PowerTransformMap {
  static constexpr const char *name = "PowerTransform", *type = "power_transform";
  Interval domain = {};
  static constexpr Interval codomain = positive;

  PowerTransformMap(double power = 1);
  MappedElements<T> forward(Var<T> x) const;
  MappedElements<T> inverse(Var<T> y) const;
  void fields(Fields<T>& f);
  void restored();

 private:
  double power_;
};
template <Scalar T>
using PowerTransform = FixedBijector<PowerTransformMap, T>;
template <Scalar T>
using PowerTransformTransformer = FixedTransformer<PowerTransformMap, T>;

extern template struct PowerTransformMap<float>;
extern template struct PowerTransformMap<double>;

}  // namespace pushforward
