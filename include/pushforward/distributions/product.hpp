#pragma once

#include <vector>

#include <pushforward/distribution.hpp>

namespace pushforward {

/// Independent distributions side by side: the first columns follow the first part, those that follow the second, ...
/// The base of a flow whose columns have different tails or supports, or a density of blocks.
///
/// log_prob(y) = sum of the parts' log_probs, each of its own columns
///
/// @par Shapes      y: (N, sum of the parts' dim). A context goes to the parts that take one.
/// @par Parameters  those of the parts, under "0.", "1.", ...
/// @par Numerics    Moments and entropy are exact where the parts have them: the covariance is that of blocks. cdf and
///                  its relatives are those of columns, where every part has them. The KL divergence to a Product of
///                  parts of the same sizes is the sum of theirs. Prefixes follow on each other part after part.
/// @par Start       Each part's own.
/// @par Cost        The sum of the parts' costs.
/// @throws ShapeError  if there is no part, or two take different numbers of context columns.
/// @source TFP's `Blockwise` and zuko's `Joint`.
template <Scalar T>
class Product final : public Distribution<T>, private Prefixes<T> {
 public:
  template <class First, class... Rest>
    requires(std::derived_from<std::remove_cvref_t<First>, Distribution<T>> &&
             (std::derived_from<std::remove_cvref_t<Rest>, Distribution<T>> && ...) &&
             !(std::same_as<std::remove_cvref_t<First>, Product> && sizeof...(Rest) == 0))
  explicit Product(First&& first, Rest&&... rest)
      : Product(std::vector<Poly<Distribution<T>>>{Poly<Distribution<T>>(std::forward<First>(first)),
                                                   Poly<Distribution<T>>(std::forward<Rest>(rest))...}) {}
  explicit Product(std::vector<Poly<Distribution<T>>> parts);
  explicit Product(Blank) : Distribution<T>("Product") {}

  Index size() const { return static_cast<Index>(parts_.size()); }
  /// @throws DomainError  if there is no such part.
  const Distribution<T>& part(Index i) const;

 private:
  using Tail = typename Distribution<T>::Tail;
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override;
  Var<T> do_sample(Pass<T>& pass) const override;
  Drawn<T> do_sample_and_log_prob(Pass<T>& pass) const override;
  bool do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const override;
  const Prefixes<T>* do_prefixes() const override { return this; }
  std::vector<std::int64_t> do_triangular_order() const override;
  Column<T> do_marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override;
  Var<T> do_sample_given(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override;
  bool do_is_reparameterized() const override;
  Estimate do_estimates() const override;
  Space do_support() const override;
  void do_mean(VectorView<double> mean) const override;
  void do_variance(VectorView<double> variance) const override;
  void do_covariance(MatrixView<double> covariance) const override;
  void do_mode(VectorView<double> mode) const override;
  double do_entropy() const override;
  std::optional<double> do_kl_divergence(const Distribution<T>& other) const override;
  void do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const override;
  void do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  /// f(part, number of the part, its first column) for each.
  template <class F>
  void each(F f) const;

  std::vector<Poly<Distribution<T>>> parts_;
};

/// The scalar type follows from the first part.
template <class First, class... Rest>
Product(First, Rest...) -> Product<ScalarOf<First>>;

extern template class Product<float>;
extern template class Product<double>;

}  // namespace pushforward
