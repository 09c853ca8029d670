#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = log(1 + exp(x)), from the real line to the positive numbers; close to the identity for large x.
///
/// log_det = -sum_d softplus(-x_d)
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    No overflow for any x. `forward` never gives 0, but stops at the smallest positive number of T.
///                  `inverse` is y + log(-expm1(-y)), accurate for tiny y (x = log y) and for large y (x = y).
/// @par Errors      In `inverse`, y <= 0 lies outside the codomain.
/// @par Cost        O(N dim), two softplus, or an expm1 and a log, for each value.
/// @throws ShapeError  if dim < 1.
template <Scalar T>
class Softplus final : public ElementwiseBijector<T> {
 public:
  explicit Softplus(Index dim);
  explicit Softplus(const Description& d);

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override;
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override;
  Description do_describe() const override;
};

extern template class Softplus<float>;
extern template class Softplus<double>;

}  // namespace pushforward
