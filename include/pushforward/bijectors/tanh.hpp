#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = tanh(x), from the real line to (-1, 1).
///
/// log_det = 2 sum_d [log 2 - |x_d| - softplus(-2 |x_d|)]
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` stops at the first number of T inside the bounds: y lies strictly between -1 and 1 for
///                  every x. The log_det stays finite and exact for every x, also where y has stopped. `inverse` is
///                  [log1p(y) - log1p(-y)] / 2, accurate around 0 and next to both bounds.
/// @par Errors      In `inverse`, y <= -1 and y >= 1 lie outside the codomain.
/// @par Cost        O(N dim), a tanh and a softplus, or two log1p, for each value.
/// @throws ShapeError  if dim < 1.
template <Scalar T>
class Tanh final : public ElementwiseBijector<T> {
 public:
  explicit Tanh(Index dim);
  explicit Tanh(const Description& d);

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override;
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override;
  Description do_describe() const override;
};

extern template class Tanh<float>;
extern template class Tanh<double>;

}  // namespace pushforward
