#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = L x with a lower triangular L of positive diagonal, computed from data: where the data's columns have variance 1
/// and are not correlated.
///
/// log_det = sum_d log(L_dd)
///
/// L is the Cholesky factor of the covariance as column by column regression gives it: column i from those before it,
/// y_i = s_i b_i'y + sigma_i x_i, with b_i by least squares, shrunk for its p = i predictors by
/// s_i = max(0, 1 - p / (N - p - 1) (1 - R^2) / R^2), and sigma_i without the bias that p predictors cause. Of many rows
/// it is that of maximum likelihood; of few, correlations that are noise do not count. Locations are left to
/// `Standardize`, which belongs on the data side of it.
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none. State: lower: (dim, dim), diagonal: (dim), which training leaves alone.
/// @par Numerics    `of` is computed in double. A column that follows from those before it, up to 1e-5 of its spread,
///                  counts as if it differed by that much: no direction is stretched more. At most 1,000 columns, and
///                  half as many as there are rows, are predictors.
/// @par Cost        O(N dim^2), of `of` too.
/// @source The shrinkage: Copas 1983 (Regression, Prediction and Shrinkage), positive part of the preshrunk estimate.
template <Scalar T>
class Whiten final : public Bijector<T> {
 public:
  /// The identity.
  explicit Whiten(Index dim);
  /// Of what is above the diagonal nothing is looked at.
  /// @throws ShapeError   if the matrix is not square.
  /// @throws DomainError  if a value is not finite or one of the diagonal is not positive.
  explicit Whiten(MatrixView<const double> scale_tril);
  /// From the rows of `data`, with weights if given. A column whose values are all equal is left as it is.
  /// @throws ShapeError   if the number of weights differs from the number of rows.
  /// @throws DomainError  if there are no rows, a value is not finite, or the weights do not sum to more than 0.
  static Whiten of(MatrixView<const T> data, VectorView<const double> weights = {});

  /// L without its diagonal, (dim, dim), and the diagonal.
  const Tensor<T>& lower() const { return lower_; }
  const Tensor<T>& diagonal() const { return diagonal_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const override;
  bool do_is_constant_jacobian() const override { return true; }
  std::vector<std::int64_t> do_triangular_order() const override;
  void do_fields(Fields<T>& f) override;

  Tensor<T> lower_;
  Tensor<T> diagonal_;
};

extern template class Whiten<float>;
extern template class Whiten<double>;

}  // namespace pushforward
