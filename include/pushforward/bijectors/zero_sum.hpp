#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// From the real vectors of n columns to the vectors of sum 0 in n + 1: a reflection of (x, 0), so distances stay.
///
/// y = (x - m, -s / sqrt(n + 1)), s = sum_i x_i, m = s / (sqrt(n + 1) + n + 1)
///
/// log_det = -log(n + 1) / 2
///
/// @par Measure     Lebesgue in the first n columns; numpyro's is that of the plane, whose log_det is 0.
/// @par Shapes      x: (N, n); y: (N, n + 1).
/// @par Parameters  none.
/// @par Errors      In `inverse`, rows whose sum is not 0 to within 1e-6 of 1 + sum |y_i| (float: 1e-4) lie outside.
/// @par Cost        O(N n).
/// @source numpyro's `ZeroSumTransform` of one axis; PyMC's `ZeroSumTransform`.
/// @throws ShapeError  if base_dim < 1.
template <Scalar T>
class ZeroSum final : public Bijector<T> {
 public:
  explicit ZeroSum(Index base_dim);
  explicit ZeroSum(Blank) : Bijector<T>("ZeroSum") {}

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override { return Space::zero_sum(this->dim()); }
  void do_fields(Fields<T>& f) override;
};

extern template class ZeroSum<float>;
extern template class ZeroSum<double>;

}  // namespace pushforward
