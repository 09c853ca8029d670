#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = x^power, of the positive numbers onto themselves; decreasing where power is negative. 2 is the square, -1 the
/// reciprocal.
///
/// log_det = sum_d [log |power| + (power - 1) log x_d]
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none; `power` is a constant, finite and not 0; positive in a transformer, whose maps increase.
/// @par Numerics    exp(power log x): the relative error is some |power log x| roundings. Results stop at the smallest
///                  and the largest numbers of T.
/// @par Errors      Values that are not positive lie outside.
/// @par Cost        O(N dim), an exp and a log for each value.
/// @throws DomainError  if power is 0 or not finite.
/// @source TFP's `Power`, `Square` (2) and `Reciprocal` (-1).
template <Scalar T>
struct PowerMap {
  static constexpr const char *name = "Power", *type = "power";
  static constexpr Interval domain = positive, codomain = positive;
  bool increasing = true;

  PowerMap(double power = 1);
  MappedElements<T> forward(Var<T> x) const;
  MappedElements<T> inverse(Var<T> y) const;
  void fields(Fields<T>& f);
  void restored();

 private:
  double power_;
};
template <Scalar T>
using Power = FixedBijector<PowerMap, T>;
template <Scalar T>
using PowerTransformer = FixedTransformer<PowerMap, T>;

extern template struct PowerMap<float>;
extern template struct PowerMap<double>;

}  // namespace pushforward
