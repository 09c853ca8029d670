#pragma once

#include <pushforward/distribution.hpp>

namespace pushforward {

/// Independent beta columns on 0 < y < 1.
///
/// log_prob(y) = sum_d [(a_d - 1) log y_d + (b_d - 1) log(1 - y_d) - log B(a_d, b_d)],
/// a = concentration1, b = concentration0
///
/// @par Shapes      y: (N, dim), columns independent; mean, variance, mode: (dim); entropy: the sum over the columns.
/// @par Parameters  log_concentration1, log_concentration0: (dim), unconstrained, initially 0: uniform on (0, 1).
///                  A value v given to the constructor comes back to within |log v| + 1 units in the last place.
/// @par Numerics    At 0 and 1 log_prob is the limit: at 0 log b for a = 1, -inf above, inf below. Computed in double
///                  for both scalars; from a + b = 100 on by Loader's saddle-point form (2000). log_cdf and log_survival go on where
///                  cdf and survival underflow. mode needs a > 1 and b > 1. Samples are drawn from the row's own
///                  stream, lie strictly between 0 and 1, and are not differentiable. KL between two Beta is exact.
/// @par Cost        O(N dim), two logarithms for each element.
/// @source Johnson, Kotz, Balakrishnan 1995, chapter 25.
template <Scalar T>
class Beta final : public Distribution<T> {
 public:
  /// Both concentrations 1 in every column.
  explicit Beta(Index dim);
  /// `concentration1` belongs to y, `concentration0` to 1 - y.
  /// @throws ShapeError   if the sizes differ or are 0.
  /// @throws DomainError  if a value is not positive and finite, naming the index.
  Beta(VectorView<const T> concentration1, VectorView<const T> concentration0);

  const Tensor<T>& log_concentration1() const { return log_concentration1_; }
  const Tensor<T>& log_concentration0() const { return log_concentration0_; }

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

  Tensor<T> log_concentration1_;
  Tensor<T> log_concentration0_;
};

extern template class Beta<float>;
extern template class Beta<double>;

}  // namespace pushforward
