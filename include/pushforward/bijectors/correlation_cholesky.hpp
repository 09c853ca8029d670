#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// From the real vectors of n (n - 1) / 2 columns to the lower Cholesky factors of n x n correlation matrices,
/// row-major in n^2 columns: lower triangular, positive diagonal, rows of length 1.
///
/// Row i of L is (x_i1, ..., x_i(i-1), 1) / sqrt(1 + sum_j x_ij^2), then zeros; x is filled row by row, from the second
/// on.
///
/// log_det = sum_(i=2..n) (i + 1) log L_ii
///
/// @par Measure     Lebesgue in the entries below the diagonal.
/// @par Shapes      x: (N, n (n - 1) / 2); y: (N, n^2).
/// @par Parameters  none; `n` is a constant.
/// @par Numerics    The log_det is exact for x of any size whose square T can say; a diagonal entry never becomes 0.
/// @par Errors      In `inverse`, rows lie outside the codomain where an entry above the diagonal is not 0, a diagonal
///                  entry is not positive, or a row of the matrix is not of length 1 to within 1e-6 (float: 1e-4).
/// @par Cost        O(N n^2).
/// @source TFP's `CorrelationCholesky`. torch and numpyro go by tanh of partial correlations instead.
/// @throws ShapeError  if n < 2.
template <Scalar T>
class CorrelationCholesky final : public Bijector<T> {
 public:
  explicit CorrelationCholesky(Index n);
  explicit CorrelationCholesky(Blank) : Bijector<T>("CorrelationCholesky") {}

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override;
  void do_fields(Fields<T>& f) override;

  Index n_ = 2;
};

extern template class CorrelationCholesky<float>;
extern template class CorrelationCholesky<double>;

}  // namespace pushforward
