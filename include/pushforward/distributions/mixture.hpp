#pragma once

#include <initializer_list>
#include <vector>

#include <pushforward/distribution.hpp>

namespace pushforward {

/// Mixture of any distributions over the same columns.
///
/// log_prob(y) = log sum_k w_k p_k(y), w = softmax(logits)
///
/// @par Shapes      y: (N, dim); mean, variance: (dim); covariance: (dim, dim). A context goes to the components that
///                  take one.
/// @par Parameters  logits: (components), unconstrained, initially 0: equal weights; then those of the components,
///                  as "0.", "1.", ...
/// @par Numerics    Weights and sums in double, by log-sum-exp. A row is outside the support only if it is outside
///                  that of every component. mean, variance and covariance are exact where the components have them.
///                  cdf and its relatives are those of one column, over the mixture of the components' columns
///                  (columns of a mixture are not independent); quantile inverts it by bisection. support gives for
///                  each column the smallest interval that holds those of all components. Samples are not
///                  differentiable: each row draws from every component and picks one.
/// @par Start       Components that are all equal have equal gradients and would stay equal. So `fit` starts them from
///                  its first rows (at least 1024 if there are as many): k-means with k-means++ centres, the best of
///                  8 runs; each component gets location, scale and weight of its rows or, if its family has no such
///                  start, a small random change of its parameters. A component that is a mixture of equal
///                  components, also behind a bijector, clusters the rows of its cluster. The same rows give the same
///                  start.
/// @par Cost        The sum of the components' costs, for samples too.
/// @source McLachlan and Peel 2000, section 1.4; the start: Arthur and Vassilvitskii 2007.
template <Scalar T>
class Mixture final : public Distribution<T> {
 public:
  /// With equal weights.
  explicit Mixture(std::vector<Poly<Distribution<T>>> components);
  /// @throws ShapeError   if there is no component, the components differ in dim or ask for different numbers of
  ///                      context columns, or the number of logits is not that of components.
  /// @throws DomainError  if a logit is not finite, naming the index.
  Mixture(std::vector<Poly<Distribution<T>>> components, VectorView<const T> logits);
  explicit Mixture(Blank) : Distribution<T>("Mixture") {}

  Index components() const { return static_cast<Index>(components_.size()); }
  /// @throws DomainError  if there is no such component.
  const Distribution<T>& component(Index k) const { return *components_[position(k)]; }
  Distribution<T>& component(Index k) { return *components_[position(k)]; }
  const Tensor<T>& logits() const { return logits_; }
  /// softmax(logits)
  [[gnu::always_inline]] Eigen::VectorXd weights() const {
    Eigen::VectorXd result(components());
    weights_into(result);
    return result;
  }

 private:
  using Tail = typename Distribution<T>::Tail;
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override;
  /// k, if it is the number of a component.
  std::size_t position(Index k) const;
  bool components_are_equal() const;
  bool do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const override;
  /// Of the rows with these weights, as k-means and moments see them.
  void propose_clusters(Pass<T>& pass, Var<T> y, const T* weights) const;
  Var<T> do_sample(Pass<T>& pass) const override;
  bool do_is_reparameterized() const override { return false; }
  Space do_support() const override;
  Estimate do_estimates() const override;
  void do_mean(VectorView<double> mean) const override;
  void do_variance(VectorView<double> variance) const override;
  void do_covariance(MatrixView<double> covariance) const override;
  void do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const override;
  void do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  /// log sum_k exp(logits_k)
  double log_total() const;
  void weights_into(VectorView<double> out) const;
  void check_no_context(const char* call) const;

  std::vector<Poly<Distribution<T>>> components_;
  Tensor<T> logits_;
};

/// The scalar type follows from components of one class: Mixture({Normal<double>(2), Normal<double>(2)}).
template <class D>
Mixture(std::initializer_list<D>) -> Mixture<ScalarOf<D>>;
template <class D>
Mixture(std::initializer_list<D>, std::initializer_list<double>) -> Mixture<ScalarOf<D>>;
template <class D, class Logits>
Mixture(std::initializer_list<D>, Logits) -> Mixture<ScalarOf<D>>;

extern template class Mixture<float>;
extern template class Mixture<double>;

}  // namespace pushforward
