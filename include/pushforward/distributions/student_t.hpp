#pragma once

#include <pushforward/distributions/location_scale.hpp>

namespace pushforward {

/// Independent Student t columns.
///
/// log_prob(y) = sum_d [log Gamma((df_d + 1) / 2) - log Gamma(df_d / 2) - log(pi df_d) / 2
///                      - (df_d + 1) / 2 log(1 + z_d^2 / df_d) - log_scale_d],  z = (y - loc) / scale
///
/// @par Shapes      y: (N, dim), columns independent; mean, variance, mode: (dim); entropy: the sum over the columns.
/// @par Parameters  loc, log_scale: (dim), unconstrained, initially 0; log_df: (dim), unconstrained, initially
///                  log(default_df). Values given to the constructor come back within two units in the last place.
/// @par Numerics    The ratio of the gamma functions is computed as such, so df up to 1e12 keeps its digits.
///                  mean needs df > 1; variance is inf for 1 < df <= 2; where undefined: NotImplemented.
///                  Samples are drawn from the row's own stream and are not differentiable.
/// @par Cost        O(N dim), one logarithm for each element.
/// @source Johnson, Kotz, Balakrishnan 1995, chapter 28.
template <Scalar T>
class StudentT final : public LocationScale<T> {
 public:
  static constexpr double default_df = 5;

  /// loc 0, scale 1 in every column. @throws DomainError  if df is not positive and finite.
  explicit StudentT(Index dim, double df = default_df);
  /// @throws ShapeError   if the sizes differ or are 0.
  /// @throws DomainError  if a df or a scale is not positive and finite or a loc is not finite, naming the index.
  StudentT(VectorView<const T> df, VectorView<const T> loc, VectorView<const T> scale);

  const Tensor<T>& log_df() const { return log_df_; }

 private:
  std::vector<std::int64_t> do_triangular_order() const override {
    throw this->not_implemented("triangular_order", "each column has degrees of freedom of its own");
  }
  Column<T> do_standard_log_prob(Pass<T>& pass, Var<T> z) const override;
  Var<T> do_standard_sample(Pass<T>& pass) const override;
  bool do_is_reparameterized() const override { return false; }
  double do_standard_variance(Index column) const override;
  double do_standard_entropy(Index column) const override;
  double do_standard_cdf(double z, Index column) const override;
  double do_standard_log_cdf(double z, Index column) const override;
  double do_standard_quantile(double p, Index column) const override;
  void do_mean(VectorView<double> mean) const override;
  void do_fields(Fields<T>& f) override;

  double df_at(Index column) const;

  Tensor<T> log_df_;
};

extern template class StudentT<float>;
extern template class StudentT<double>;

}  // namespace pushforward
