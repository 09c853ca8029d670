#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = tanh(x) for |x| <= bound, beyond it the straight line of the slope there, of the real line onto itself: tanh
/// that can be undone for every y.
///
/// log_det = -2 sum_d log cosh(min(|x_d|, bound))
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none; `bound` (3) is a constant, above 0 and at most 8.
/// @par Numerics    The derivative is continuous. The slope beyond the bound is 1 / cosh(bound)^2.
/// @par Cost        O(N dim), a tanh and a softplus, or two log1p, for each value.
/// @throws DomainError  if bound is out of range.
/// @source flowjax' `LeakyTanh(max_val)`.
template <Scalar T>
struct LeakyTanhMap {
  static constexpr const char *name = "LeakyTanh", *type = "leaky_tanh";
  static constexpr Interval domain = real_line, codomain = real_line;

  LeakyTanhMap(double bound = 3);
  MappedElements<T> forward(Var<T> x) const;
  MappedElements<T> inverse(Var<T> y) const;
  void fields(Fields<T>& f);
  void restored();

 private:
  double bound_;
};
template <Scalar T>
using LeakyTanh = FixedBijector<LeakyTanhMap, T>;
template <Scalar T>
using LeakyTanhTransformer = FixedTransformer<LeakyTanhMap, T>;

extern template struct LeakyTanhMap<float>;
extern template struct LeakyTanhMap<double>;

}  // namespace pushforward
