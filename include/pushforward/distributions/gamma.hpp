#pragma once

#include <pushforward/distribution.hpp>

namespace pushforward {

/// Independent gamma columns on y > 0.
///
/// log_prob(y) = sum_d [(a_d - 1) log y_d - r_d y_d + a_d log r_d - log Gamma(a_d)], a = concentration, r = rate
///
/// @par Shapes      y: (N, dim), columns independent; mean, variance, mode: (dim); entropy: the sum over the columns.
/// @par Parameters  log_concentration, log_rate: (dim), unconstrained, initially 0: the exponential distribution.
///                  A value v given to the constructor comes back to within |log v| + 1 units in the last place.
/// @par Numerics    At y = 0 log_prob is the limit: log r for a = 1, -inf above, inf below. Computed in double for both
///                  scalars; from a = 30 on by Loader's saddle-point form (2000), whose terms do not cancel for a large
///                  concentration, and tails and quantiles from 1e8 on by Temme's expansion (1979). log_cdf and log_survival go on where cdf and survival underflow. mode needs
///                  a > 1. Samples are drawn from the row's own stream, are at least the smallest normal number, and
///                  are not differentiable. KL between two Gamma is exact.
/// @par Cost        O(N dim), one logarithm for each element.
/// @source Johnson, Kotz, Balakrishnan 1994, chapter 17.
template <Scalar T>
class Gamma final : public Distribution<T> {
 public:
  /// concentration 1, rate 1 in every column.
  explicit Gamma(Index dim);
  /// @throws ShapeError   if the sizes differ or are 0.
  /// @throws DomainError  if a value is not positive and finite, naming the index.
  Gamma(VectorView<const T> concentration, VectorView<const T> rate);

  const Tensor<T>& log_concentration() const { return log_concentration_; }
  const Tensor<T>& log_rate() const { return log_rate_; }

 private:
  using Tail = typename Distribution<T>::Tail;
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override;
  Var<T> do_sample(Pass<T>& pass) const override;
  bool do_is_reparameterized() const override { return false; }
  Space do_support() const override;
  void do_mean(VectorView<double> mean) const override;
  void do_variance(VectorView<double> variance) const override;
  void do_mode(VectorView<double> mode) const override;
  double do_entropy() const override;
  std::optional<double> do_kl_divergence(const Distribution<T>& other) const override;
  void do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const override;
  void do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const override;
  void do_fields(Fields<T>& f) override;

  Tensor<T> log_concentration_;
  Tensor<T> log_rate_;
};

extern template class Gamma<float>;
extern template class Gamma<double>;

}  // namespace pushforward
