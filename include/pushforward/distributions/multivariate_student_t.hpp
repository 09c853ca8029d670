#pragma once

#include <pushforward/distributions/location_scale_tril.hpp>

namespace pushforward {

/// Multivariate Student t with scale matrix L L^T for a lower triangular L and one df for all columns.
///
/// log_prob(y) = log Gamma((df + dim) / 2) - log Gamma(df / 2) - dim / 2 log(pi df) - sum_d log L_dd
///               - (df + dim) / 2 log(1 + |z|^2 / df),  L z = y - loc
///
/// @par Shapes      y: (N, dim); mean, variance, mode: (dim); covariance: (dim, dim).
/// @par Parameters  loc: (dim), initially 0; lower: (dim, dim), its entries below the diagonal are those of L, the
///                  others are 0; log_diagonal: (dim), initially 0: the diagonal of L is
///                  exp(log_diagonal); log_df: (1), initially log(default_df). Logarithms of given values come back
///                  within two units in the last place.
/// @par Numerics    |z|^2 and what depends on df are computed in double; the ratio of the gamma functions as such.
///                  mean needs df > 1 and covariance df > 2, else NotImplemented. Samples are drawn from the row's own
///                  stream and are not differentiable.
/// @par Cost        O(N dim^2).
/// @source Kotz and Nadarajah 2004, eq. 1.1.
template <Scalar T>
class MultivariateStudentT final : public LocationScaleTriL<T> {
 public:
  static constexpr double default_df = 5;

  /// loc 0, scale the identity. @throws DomainError  if df is not positive and finite.
  explicit MultivariateStudentT(Index dim, double df = default_df);
  /// Of a covariance C: its Cholesky factor, `Eigen::MatrixXd(C.llt().matrixL())`.
  /// @throws ShapeError   if scale_tril is not (dim, dim) for the size of loc, or that is 0.
  /// @throws DomainError  if a value is not finite, or df or a diagonal entry is not positive, or one above the diagonal not 0, naming
  ///                      the index.
  MultivariateStudentT(double df, VectorView<const T> loc, MatrixView<const T> scale_tril);

  const Tensor<T>& log_df() const { return log_df_; }
  double df() const;

 private:
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override;
  Var<T> do_sample(Pass<T>& pass) const override;
  bool do_is_reparameterized() const override { return false; }
  double do_standard_variance() const override;
  void do_mean(VectorView<double> mean) const override;
  void do_variance(VectorView<double> variance) const override;
  double do_entropy() const override;
  void do_fields(Fields<T>& f) override;

  Tensor<T> log_df_;
};

extern template class MultivariateStudentT<float>;
extern template class MultivariateStudentT<double>;

}  // namespace pushforward
