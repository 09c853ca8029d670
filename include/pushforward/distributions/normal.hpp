#pragma once

#include <pushforward/distributions/location_scale.hpp>

namespace pushforward {

/// Independent normal (Gaussian) columns.
///
/// log_prob(y) = -1/2 sum_d [z_d^2 + log(2 pi) + 2 log_scale_d], z = (y - loc) / scale
///
/// @par Shapes      y: (N, dim), columns independent; mean, variance, mode: (dim); entropy: the sum over the columns.
/// @par Parameters  loc, log_scale: (dim), unconstrained, initially 0; scale = exp(log_scale). A scale given to the
///                  constructor comes back within two units in the last place.
/// @par Numerics    z^2 is summed in double. log_cdf and log_survival have full relative accuracy in both tails, at any
///                  distance. KL to Normal, MultivariateNormalDiag and MultivariateNormalTriL is exact.
/// @par Cost        O(N dim); with the initial values as the base of a flow, no more than the sum of squares.
/// @source Johnson, Kotz, Balakrishnan 1994, chapter 13; Abramowitz and Stegun 26.2.12 for the far tail.
template <Scalar T>
class Normal final : public LocationScale<T> {
 public:
  /// loc 0, scale 1 in every column.
  explicit Normal(Index dim);
  /// @throws ShapeError   if the sizes differ or are 0.
  /// @throws DomainError  if a loc is not finite or a scale is not positive and finite, naming the index.
  Normal(VectorView<const T> loc, VectorView<const T> scale);

 private:
  Column<T> do_standard_log_prob(Pass<T>& pass, Var<T> z) const override;
  Var<T> do_standard_sample(Pass<T>& pass) const override;
  double do_standard_variance(Index column) const override;
  double do_standard_entropy(Index column) const override;
  double do_standard_cdf(double z, Index column) const override;
  double do_standard_log_cdf(double z, Index column) const override;
  double do_standard_quantile(double p, Index column) const override;
  std::optional<double> do_kl_divergence(const Distribution<T>& other) const override;
  void do_fields(Fields<T>& f) override { this->family_fields(f, "normal"); }
};

extern template class Normal<float>;
extern template class Normal<double>;

}  // namespace pushforward
