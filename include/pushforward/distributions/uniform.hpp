#pragma once

#include <vector>

#include <pushforward/distribution.hpp>

namespace pushforward {

/// Independent uniform columns on [low, high].
///
/// log_prob(y) = -sum_d log(high_d - low_d) where low_d <= y_d <= high_d for every d, else -inf
///
/// @par Shapes      y: (N, dim), columns independent; mean, variance: (dim); entropy: the sum over the columns.
/// @par Parameters  None is learned: low and high are constants.
/// @par Numerics    Both bounds belong to the support; samples lie strictly between them. No mode, as none is unique.
///                  KL between two Uniform is exact: inf unless the second contains the first.
/// @par Cost        O(N dim).
/// @source Johnson, Kotz, Balakrishnan 1995, chapter 26.
template <Scalar T>
class Uniform final : public Distribution<T> {
 public:
  /// On the unit cube.
  explicit Uniform(Index dim);
  /// @throws ShapeError   if the sizes differ or are 0.
  /// @throws DomainError  if a bound is not finite, or low < high does not hold with a value of T between them,
  ///                      naming the index.
  Uniform(VectorView<const T> low, VectorView<const T> high);

  const std::vector<double>& low() const { return low_; }
  const std::vector<double>& high() const { return high_; }

 private:
  using Tail = typename Distribution<T>::Tail;
  struct Bounds {
    std::vector<double> low;
    std::vector<double> high;
  };
  explicit Uniform(Bounds bounds);
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override;
  Var<T> do_sample(Pass<T>& pass) const override;
  Space do_support() const override;
  void do_mean(VectorView<double> mean) const override;
  void do_variance(VectorView<double> variance) const override;
  void do_mode(VectorView<double> mode) const override;
  double do_entropy() const override;
  std::optional<double> do_kl_divergence(const Distribution<T>& other) const override;
  void do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const override;
  void do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  void set_ends();

  std::vector<double> low_;
  std::vector<double> high_;
  std::vector<T> smallest_;  // the values of T next to the bounds, inside
  std::vector<T> largest_;
};

extern template class Uniform<float>;
extern template class Uniform<double>;

}  // namespace pushforward
