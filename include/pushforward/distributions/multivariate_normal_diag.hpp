#pragma once

#include <pushforward/distributions/normal.hpp>
#include <pushforward/latents.hpp>

namespace pushforward {

/// Multivariate normal with a diagonal covariance: the density of Normal, as one event without a cdf of its own.
///
/// log_prob(y) = -1/2 sum_d [z_d^2 + log(2 pi) + 2 log_scale_d], z = (y - loc) / scale_diag
///
/// @par Shapes      y: (N, dim); mean, variance, mode: (dim); covariance: (dim, dim).
/// @par Parameters  loc, log_scale: (dim), unconstrained, initially 0; scale_diag = exp(log_scale). A scale given to
///                  the constructor comes back within two units in the last place.
/// @par Numerics    As Normal. KL to Normal, MultivariateNormalDiag and MultivariateNormalTriL is exact.
/// @par Cost        O(N dim).
/// @source Johnson, Kotz, Balakrishnan 1994, chapter 13.
template <Scalar T>
class MultivariateNormalDiag final : public Distribution<T>, public Latents<T>, private Prefixes<T> {
 public:
  /// loc 0, covariance the identity, to be learned.
  explicit MultivariateNormalDiag(Index dim);
  /// loc 0, covariance the identity, and so it stays in training: the base of flows.
  static MultivariateNormalDiag standard(Index dim);
  /// @throws ShapeError   if the sizes differ or are 0.
  /// @throws DomainError  if a loc is not finite or a scale is not positive and finite, naming the index.
  MultivariateNormalDiag(VectorView<const T> loc, VectorView<const T> scale_diag);

  const Tensor<T>& loc() const { return normal_.loc(); }
  const Tensor<T>& log_scale() const { return normal_.log_scale(); }

  /// Normal, column by column; latent: y itself.
  const Distribution<T>* latent_base() const override { return &normal_; }
  Var<T> latent(Pass<T>&, Var<T> y) const override { return y; }

 private:
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override { return normal_.log_prob(pass, y); }
  bool do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const override {
    return trainable_ && normal_.propose_start(pass, y, weights);
  }
  const Prefixes<T>* do_prefixes() const override { return this; }
  Column<T> do_marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override {
    return normal_.marginal_log_prob(pass, y, columns);
  }
  Var<T> do_sample_given(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override {
    return normal_.sample_given(pass, y, columns);
  }
  Var<T> do_sample(Pass<T>& pass) const override { return normal_.sample(pass); }
  void do_mean(VectorView<double> mean) const override { normal_.mean_into(mean); }
  void do_variance(VectorView<double> variance) const override { normal_.variance_into(variance); }
  void do_mode(VectorView<double> mode) const override { normal_.mode_into(mode); }
  double do_entropy() const override { return normal_.entropy(); }
  std::optional<double> do_kl_divergence(const Distribution<T>& other) const override;
  void do_fields(Fields<T>& f) override;

  Normal<T> normal_;
  bool trainable_ = true;
};

extern template class MultivariateNormalDiag<float>;
extern template class MultivariateNormalDiag<double>;

}  // namespace pushforward
