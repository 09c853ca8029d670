#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// From the real vectors of n (n + 1) / 2 columns to the lower triangular n x n matrices with positive diagonal,
/// row-major in n^2 columns: filled row by row, the diagonal by softplus.
///
/// L_ij = x_k for j < i, L_ii = log(1 + exp(x_k)), k = i (i + 1) / 2 + j; log_det = -sum_i softplus(-x_ii)
///
/// @par Measure     Lebesgue in the lower entries.
/// @par Shapes      x: (N, n (n + 1) / 2); y: (N, n^2).
/// @par Parameters  none; `n` is a constant.
/// @par Numerics    As Softplus: a diagonal never becomes 0.
/// @par Errors      In `inverse`, rows with a diagonal entry that is not positive, or an entry above the diagonal that
///                  is not 0, lie outside the codomain.
/// @par Cost        O(N n^2), two softplus, or an expm1 and a log, for each diagonal entry.
/// @source TFP's `FillScaleTriL`, which fills in another order and adds 1e-5 to the diagonal; numpyro's
///         `SoftplusLowerCholeskyTransform`.
/// @throws ShapeError  if n < 1.
template <Scalar T>
class FillScaleTriL final : public Bijector<T> {
 public:
  explicit FillScaleTriL(Index n);

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override;
  void do_fields(Fields<T>& f) override;

  Index n_ = 1;
};

extern template class FillScaleTriL<float>;
extern template class FillScaleTriL<double>;

}  // namespace pushforward
