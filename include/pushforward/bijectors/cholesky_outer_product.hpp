#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = L L', from the lower triangular n x n matrices with positive diagonal to the positive definite ones, both
/// row-major in n^2 columns. With FillScaleTriL before it, from real vectors.
///
/// log_det = n log 2 + sum_(i=1..n) (n - i + 1) log L_ii
///
/// @par Measure     Lebesgue in the lower entries, on both sides.
/// @par Shapes      x, y: (N, n^2).
/// @par Parameters  none; `n` is a constant.
/// @par Numerics    `forward` raises the diagonal by some roundings of it where the product would be no positive
///                  definite matrix in T. `inverse` is the Cholesky decomposition of the lower entries; what it loses
///                  is what the condition of y says.
/// @par Errors      In `forward`, rows with an entry above the diagonal that is not 0, or a diagonal entry that is not
///                  positive, lie outside; in `inverse` those that are not positive definite, or not symmetric to
///                  within 1e-6 (float: 1e-4) of 1 + |y_ij|.
/// @par Cost        O(N n^3).
/// @source TFP's `CholeskyOuterProduct`; Muirhead 1982, theorem 2.1.9 (the Jacobian).
/// @throws ShapeError  if n < 1.
template <Scalar T>
class CholeskyOuterProduct final : public Bijector<T> {
 public:
  explicit CholeskyOuterProduct(Index n);

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Column<T> log_det(Var<T> diagonal) const;
  Space do_domain() const override;
  Space do_codomain() const override;
  void do_fields(Fields<T>& f) override;

  Index n_ = 1;
};

extern template class CholeskyOuterProduct<float>;
extern template class CholeskyOuterProduct<double>;

}  // namespace pushforward
