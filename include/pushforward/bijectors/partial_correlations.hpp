#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// From the real vectors of n (n - 1) / 2 columns to the lower Cholesky factors of n x n correlation matrices by partial
/// correlations tanh x, row-major in n^2 columns as CorrelationCholesky's. The density of LKJ priors is simple in them.
///
/// L_ij = tanh(x_ij) prod_(k<j) sech(x_ik),  L_ii = prod_(k<i) sech(x_ik)
///
/// log_det = -sum_(i>j) (i - j + 1) log cosh x_ij
///
/// @par Measure     Lebesgue in the entries below the diagonal.
/// @par Shapes      x: (N, n (n - 1) / 2), row by row from the second on; y: (N, n^2).
/// @par Parameters  none; `n` is a constant.
/// @par Numerics    Products in logarithms; a diagonal entry never becomes 0. `inverse` adds squares from the diagonal on:
///                  nothing is subtracted.
/// @par Errors      In `inverse`, rows lie outside the codomain where an entry above the diagonal is not 0, a diagonal
///                  entry is not positive, or a row of the matrix is not of length 1 to within 1e-6 (float: 1e-4).
/// @par Cost        O(N n^2).
/// @source Lewandowski et al. 2009; torch's and numpyro's `CorrCholeskyTransform`, Stan's.
/// @throws ShapeError  if n < 2.
template <Scalar T>
class PartialCorrelations final : public Bijector<T> {
 public:
  explicit PartialCorrelations(Index n);
  explicit PartialCorrelations(Blank) : Bijector<T>("PartialCorrelations") {}

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override { return Space::correlation(n_); }
  void do_fields(Fields<T>& f) override;

  Index n_ = 2;
};

extern template class PartialCorrelations<float>;
extern template class PartialCorrelations<double>;

}  // namespace pushforward
