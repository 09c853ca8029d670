#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = log(x), from the positive numbers to the real line: the inverse of `Exp` as a class of its own.
///
/// log_det = -sum_d log(x_d)
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `inverse` overflows to infinity above y = 709.78 (float: 88.72) and never gives 0; see `Exp`.
/// @par Errors      In `forward`, x <= 0 lies outside the domain.
/// @par Cost        O(N dim), one log or exp for each value.
/// @throws ShapeError  if dim < 1.
template <Scalar T>
class Log final : public ElementwiseBijector<T> {
 public:
  explicit Log(Index dim);
  explicit Log(const Description& d);

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override;
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override;
  Space do_domain() const override;
  Description do_describe() const override;
};

extern template class Log<float>;
extern template class Log<double>;

}  // namespace pushforward
