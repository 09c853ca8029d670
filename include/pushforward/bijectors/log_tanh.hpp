#pragma once

#include <pushforward/fixed_map.hpp>

namespace pushforward {

/// y = tanh(x) for |x| <= bound, beyond it sign(x) [tanh(bound) + a log(|x| / bound)], of the real line onto itself,
/// with a = bound (1 - tanh(bound)^2), so that the derivative is continuous.
///
/// log_det = sum_d [-2 log cosh(min(|x_d|, bound)) - log(max(|x_d|, bound) / bound)]
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none; `bound` (1) is a constant, above 0 and at most 8.
/// @par Numerics    `inverse` grows as exp(|y| / a): it overflows to infinity beyond |y| = 709 a (float: 88 a), a =
///                  0.42 for the usual bound.
/// @par Cost        O(N dim), a tanh, a softplus and a log, or two log1p and an expm1, for each value.
/// @throws DomainError  if bound is out of range.
/// @source nflows' `LogTanh(cut_point)`, whose constants let the derivative jump at the cut: theirs are
///         a = (1 - tanh(tanh(c))) / c.
template <Scalar T>
struct LogTanhMap {
  static constexpr const char *name = "LogTanh", *type = "log_tanh";
  static constexpr Interval domain = real_line, codomain = real_line;

  LogTanhMap(double bound = 1);
  MappedElements<T> forward(Var<T> x) const;
  MappedElements<T> inverse(Var<T> y) const;
  void fields(Fields<T>& f);
  void restored();

 private:
  double bound_;
};
template <Scalar T>
using LogTanh = FixedBijector<LogTanhMap, T>;
template <Scalar T>
using LogTanhTransformer = FixedTransformer<LogTanhMap, T>;

extern template struct LogTanhMap<float>;
extern template struct LogTanhMap<double>;

}  // namespace pushforward
