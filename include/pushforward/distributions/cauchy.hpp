#pragma once

#include <pushforward/distributions/location_scale.hpp>

namespace pushforward {

/// Independent Cauchy columns.
///
/// log_prob(y) = -sum_d [log(1 + z_d^2) + log pi + log_scale_d], z = (y - loc) / scale
///
/// @par Shapes      y: (N, dim), columns independent; mean, variance, mode: (dim); entropy: the sum over the columns.
/// @par Parameters  loc, log_scale: (dim), unconstrained, initially 0; scale = exp(log_scale). A scale given to the
///                  constructor comes back within two units in the last place.
/// @par Numerics    z^2 may overflow, log_prob does not. mean, variance and covariance do not exist: NotImplemented.
///                  KL between two Cauchy is exact.
/// @par Cost        O(N dim), one logarithm for each element.
/// @source Johnson, Kotz, Balakrishnan 1994, chapter 16; KL: Chyzak and Nielsen 2019.
template <Scalar T>
class Cauchy final : public LocationScale<T> {
 public:
  /// loc 0, scale 1 in every column.
  explicit Cauchy(Index dim);
  /// @throws ShapeError   if the sizes differ or are 0.
  /// @throws DomainError  if a loc is not finite or a scale is not positive and finite, naming the index.
  Cauchy(VectorView<const T> loc, VectorView<const T> scale);

 private:
  Column<T> do_standard_log_prob(Pass<T>& pass, Var<T> z) const override;
  Var<T> do_standard_sample(Pass<T>& pass) const override;
  double do_standard_variance(Index column) const override;
  double do_standard_entropy(Index column) const override;
  double do_standard_cdf(double z, Index column) const override;
  double do_standard_log_cdf(double z, Index column) const override;
  double do_standard_quantile(double p, Index column) const override;
  std::optional<double> do_kl_divergence(const Distribution<T>& other) const override;
  void do_mean(VectorView<double> mean) const override;
  void do_fields(Fields<T>& f) override { this->family_fields(f, "cauchy"); }
};

extern template class Cauchy<float>;
extern template class Cauchy<double>;

}  // namespace pushforward
