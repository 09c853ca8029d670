#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = x for x > 0 and slope x below, of the real line onto itself.
///
/// log_det = (number of columns with x_d <= 0) log slope
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none; `slope` (0.01) is a constant, positive and finite.
/// @par Numerics    The density has a jump at 0, so gradients of the log_det are 0.
/// @par Cost        O(N dim).
/// @throws DomainError  if slope is not positive and finite.
/// @source nflows' `LeakyReLU`, pyro's `LeakyReLUTransform`.
template <Scalar T>
struct LeakyReluMap {
  static constexpr const char *name = "LeakyRelu", *type = "leaky_relu";
  static constexpr Interval domain = real_line, codomain = real_line;

  LeakyReluMap(double slope = 0.01);
  MappedElements<T> forward(Var<T> x) const;
  MappedElements<T> inverse(Var<T> y) const;
  void fields(Fields<T>& f);
  void restored();

 private:
  double slope_;
};
template <Scalar T>
using LeakyRelu = FixedBijector<LeakyReluMap, T>;
template <Scalar T>
using LeakyReluTransformer = FixedTransformer<LeakyReluMap, T>;

extern template struct LeakyReluMap<float>;
extern template struct LeakyReluMap<double>;

}  // namespace pushforward
