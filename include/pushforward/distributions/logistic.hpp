#pragma once

#include <cmath>
#include <numbers>

#include <pushforward/distributions/location_scale.hpp>

namespace pushforward {

/// Independent logistic columns.
///
/// log_prob(y) = -sum_d [|z_d| + 2 log(1 + exp(-|z_d|)) + log_scale_d], z = (y - loc) / scale
///
/// @par Shapes      y: (N, dim), columns independent; mean, variance, mode: (dim); entropy: the sum over the columns.
/// @par Parameters  loc, log_scale: (dim), unconstrained, initially 0; scale = exp(log_scale). A scale given to the
///                  constructor comes back within two units in the last place.
/// @par Numerics    No term overflows; log_cdf = -softplus(-z). variance = pi^2 scale^2 / 3.
/// @par Cost        O(N dim), one softplus for each element.
/// @source Johnson, Kotz, Balakrishnan 1995, chapter 23.
template <Scalar T>
class Logistic final : public LocationScale<T> {
 public:
  /// loc 0, scale 1 in every column.
  explicit Logistic(Index dim) : LocationScale<T>("Logistic", dim) {}
  /// @throws ShapeError   if the sizes differ or are 0.
  /// @throws DomainError  if a loc is not finite or a scale is not positive and finite, naming the index.
  Logistic(VectorView<const T> loc, VectorView<const T> scale) : LocationScale<T>("Logistic", loc, scale) {}

 private:
  Column<T> do_standard_log_prob(Pass<T>& pass, Var<T> z) const override;
  Var<T> do_standard_sample(Pass<T>& pass) const override { return pass.logistic(this->dim()); }
  double do_standard_variance(Index) const override { return std::numbers::pi * std::numbers::pi / 3; }
  double do_standard_entropy(Index) const override { return 2; }
  double do_standard_cdf(double z, Index) const override { return 1 / (1 + std::exp(-z)); }
  double do_standard_log_cdf(double z, Index) const override {
    return z > 0 ? -std::log1p(std::exp(-z)) : z - std::log1p(std::exp(z));
  }
  double do_standard_quantile(double p, Index) const override { return std::log(p) - std::log1p(-p); }
  void do_fields(Fields<T>& f) override { this->family_fields(f, "logistic"); }
};

extern template class Logistic<float>;
extern template class Logistic<double>;

}  // namespace pushforward
