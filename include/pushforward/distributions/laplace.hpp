#pragma once

#include <pushforward/distributions/location_scale.hpp>

namespace pushforward {

/// Independent Laplace (double exponential) columns.
///
/// log_prob(y) = -sum_d [|z_d| + log 2 + log_scale_d], z = (y - loc) / scale
///
/// @par Shapes      y: (N, dim), columns independent; mean, variance, mode: (dim); entropy: the sum over the columns.
/// @par Parameters  loc, log_scale: (dim), unconstrained, initially 0; scale = exp(log_scale). A scale given to the
///                  constructor comes back within two units in the last place.
/// @par Numerics    The gradient at y = loc is 0. variance = 2 scale^2. KL between two Laplace is exact.
/// @par Cost        O(N dim).
/// @source Johnson, Kotz, Balakrishnan 1995, chapter 24.
template <Scalar T>
class Laplace final : public LocationScale<T> {
 public:
  /// loc 0, scale 1 in every column.
  explicit Laplace(Index dim);
  /// @throws ShapeError   if the sizes differ or are 0.
  /// @throws DomainError  if a loc is not finite or a scale is not positive and finite, naming the index.
  Laplace(VectorView<const T> loc, VectorView<const T> scale);

 private:
  Column<T> do_standard_log_prob(Pass<T>& pass, Var<T> z) const override;
  Var<T> do_standard_sample(Pass<T>& pass) const override;
  double do_standard_variance(Index column) const override;
  double do_standard_entropy(Index column) const override;
  double do_standard_cdf(double z, Index column) const override;
  double do_standard_log_cdf(double z, Index column) const override;
  double do_standard_quantile(double p, Index column) const override;
  std::optional<double> do_kl_divergence(const Distribution<T>& other) const override;
  void do_fields(Fields<T>& f) override { this->family_fields(f, "laplace"); }
};

extern template class Laplace<float>;
extern template class Laplace<double>;

}  // namespace pushforward
