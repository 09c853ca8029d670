#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = exp(x), from the real line to the positive numbers.
///
/// log_det = sum_d x_d
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` overflows to infinity above x = 709.78 (float: 88.72), as std::exp does. It never gives 0
///                  but stops at the smallest positive number of T, so that every finite y can be mapped back. The
///                  log_det is exact for every x, also where y has stopped. `inverse` is accurate for every positive y.
/// @par Errors      In `inverse`, y <= 0 lies outside the codomain.
/// @par Cost        O(N dim), one exp or log for each value.
/// @throws ShapeError  if dim < 1.
template <Scalar T>
class Exp final : public ElementwiseBijector<T> {
 public:
  explicit Exp(Index dim);
  explicit Exp(const Description& d);

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override;
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override;
  Description do_describe() const override;
};

extern template class Exp<float>;
extern template class Exp<double>;

}  // namespace pushforward
