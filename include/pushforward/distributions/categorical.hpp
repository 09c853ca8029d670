#pragma once

#include <pushforward/distribution.hpp>

namespace pushforward {

/// Independent columns of categories, written as the numbers 0 .. K - 1.
///
/// log_prob(y) = sum_d [logits_(d, y_d) - log sum_k exp(logits_(d, k))] where every y_d is one of them, else -inf
///
/// @par Measure     Counting: prob is the probability of the row, not a density.
/// @par Shapes      y: (N, dim), columns independent; mean, variance, mode: (dim), of the numbers; entropy: the sum
///                  over the columns.
/// @par Parameters  logits: (dim, K), unconstrained, initially 0: all categories alike. Adding a number to a row of
///                  them changes nothing.
/// @par Numerics    Computed in double for both scalars. A step function of y, so its gradient in y is 0. The cdf is
///                  that of the numbers, for every real y; quantile(p) is the smallest number with cdf >= p, and
///                  quantile_complement(q) the smallest with survival <= q. mode is the first of the likeliest.
///                  Samples are not differentiable; in float they cannot tell probabilities below 6e-8. KL between two
///                  Categorical is exact: inf where the second has fewer categories.
/// @par Cost        O(N dim + dim K); samples O(N dim log K).
/// @source Murphy 2022, section 2.5.
template <Scalar T>
class Categorical final : public Distribution<T>, private Prefixes<T> {
 public:
  /// All categories alike.
  /// @throws DomainError  unless there is at least one category, and at most 2^24.
  Categorical(Index dim, Index categories);
  /// A row of logits for each column.
  /// @throws ShapeError   if there are none.
  /// @throws DomainError  if a value is not finite, naming its place.
  explicit Categorical(MatrixView<const T> logits);
  explicit Categorical(Blank);

  Index categories() const { return categories_; }
  const Tensor<T>& logits() const { return logits_; }

 private:
  using Tail = typename Distribution<T>::Tail;
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override;
  Var<T> do_sample(Pass<T>& pass) const override;
  const Prefixes<T>* do_prefixes() const override { return this; }
  Column<T> do_marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override;
  Var<T> do_sample_given(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override {
    return replace_columns(this->sample(pass), y, columns);
  }
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

  /// log of the probability of each category of a column.
  std::vector<double> log_probabilities(Index column) const;

  Index categories_ = 1;
  Tensor<T> logits_;
};

extern template class Categorical<float>;
extern template class Categorical<double>;

}  // namespace pushforward
