#pragma once

#include <pushforward/distributions/location_scale_tril.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/latents.hpp>

namespace pushforward {

/// Multivariate normal with covariance L L^T for a lower triangular L.
///
/// log_prob(y) = -1/2 [|z|^2 + dim log(2 pi)] - sum_d log L_dd, L z = y - loc
///
/// @par Shapes      y: (N, dim); mean, variance, mode: (dim); covariance: (dim, dim).
/// @par Parameters  loc: (dim), initially 0; lower: (dim, dim), its entries below the diagonal are those of L, the
///                  others are 0; log_diagonal: (dim), initially 0: the diagonal of L is
///                  exp(log_diagonal), so a given one comes back within two units in the last place.
/// @par Numerics    By forward substitution, no inverse is formed. KL to Normal, MultivariateNormalDiag and
///                  MultivariateNormalTriL is exact.
/// @par Cost        O(N dim^2).
/// @source Johnson, Kotz, Balakrishnan 2000, chapter 45.
template <Scalar T>
class MultivariateNormalTriL final : public LocationScaleTriL<T>, public Latents<T> {
 public:
  /// loc 0, covariance the identity.
  explicit MultivariateNormalTriL(Index dim);
  /// Of a covariance C: its Cholesky factor, `Eigen::MatrixXd(C.llt().matrixL())`.
  /// @throws ShapeError   if scale_tril is not (dim, dim) for the size of loc, or that is 0.
  /// @throws DomainError  if a value is not finite or a diagonal entry is not positive, or one above the diagonal not 0, naming
  ///                      the index.
  MultivariateNormalTriL(VectorView<const T> loc, MatrixView<const T> scale_tril);

  /// The maximum likelihood estimate from rows of data: mean and covariance with divisor N, or the sum of `weights`
  /// (one for each row, none: all 1). `ridge` is added to every variance. In double; O(N dim^2 + dim^3).
  /// @throws ShapeError   if there is no column, or the number of weights is not that of rows.
  /// @throws DomainError  if data or weights are not finite, a weight is negative, or the covariance is not positive
  ///                      definite: a constant column, no more rows than columns, or columns that depend linearly on
  ///                      others. A positive ridge is the way out.
  static MultivariateNormalTriL fit(MatrixView<const T> data, VectorView<const double> weights = {}, double ridge = 0);

  /// The standard Normal; latent: z.
  const Distribution<T>* latent_base() const override { return &standard_; }
  Var<T> latent(Pass<T>& pass, Var<T> y) const override { return this->whiten(pass, y); }

 private:
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override;
  Var<T> do_sample(Pass<T>& pass) const override;
  double do_standard_variance() const override { return 1; }
  double do_entropy() const override;
  std::optional<double> do_kl_divergence(const Distribution<T>& other) const override;
  void do_fields(Fields<T>& f) override;

  Normal<T> standard_;  // of z
};

extern template class MultivariateNormalTriL<float>;
extern template class MultivariateNormalTriL<double>;

}  // namespace pushforward
