#pragma once

#include <pushforward/bijector.hpp>
#include <pushforward/distribution.hpp>
#include <pushforward/latents.hpp>

namespace pushforward {

/// The distribution of y = forward(x) for x drawn from `base`.
///
/// log_prob(y) = base.log_prob(x) + log_det, with x and log_det from one call of inverse(y) and one set of statistics.
///
/// @par Shapes  y: (N, dim); the context goes to the bijector and the base alike.
/// @par Cost    log_prob: one inverse; sample and sample_and_log_prob: one forward, no inverse.
/// @source Papamakarios et al. 2021, eq. 2.
template <Scalar T>
class TransformedDistribution final : public Distribution<T>, public Latents<T>, private Prefixes<T> {
 public:
  /// @throws ShapeError   if the parts differ in dim or ask for different numbers of context columns.
  /// @throws DomainError  if the base has points that the bijector does not take.
  TransformedDistribution(Poly<Distribution<T>> base, Poly<Bijector<T>> bijector);
  explicit TransformedDistribution(Blank) : Distribution<T>("TransformedDistribution") {}

  const Distribution<T>& base() const { return *base_; }
  Distribution<T>& base() { return *base_; }
  const Bijector<T>& bijector() const { return *bijector_; }
  Bijector<T>& bijector() { return *bijector_; }
  /// The parts as values, to build something else from them.
  Poly<Distribution<T>> copy_base() const { return base_; }
  Poly<Bijector<T>> copy_bijector() const { return bijector_; }

  /// That of the base; none where the bijector's inverse draws.
  const Distribution<T>* latent_base() const override;
  Var<T> latent(Pass<T>& pass, Var<T> y) const override;

 private:
  using Tail = typename Distribution<T>::Tail;
  /// Takes the shape of its parts, which must fit. `parameters_known`: each has its values.
  void join(bool parameters_known);
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override;
  /// That of the base, from the rows on its side.
  bool do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const override;
  const Prefixes<T>* do_prefixes() const override { return this; }
  std::vector<std::int64_t> do_triangular_order() const override;
  Column<T> do_marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override;
  Var<T> do_sample_given(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override;
  /// A row with these columns and others that lie somewhere inside the codomain.
  Var<T> completed(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const;
  Var<T> do_sample(Pass<T>& pass) const override;
  Drawn<T> do_sample_and_log_prob(Pass<T>& pass) const override;
  bool do_is_reparameterized() const override { return base_->is_reparameterized(); }
  Space do_support() const override;
  Estimate do_estimates() const override {
    return common_estimate(this->name(), base_->estimates(), bijector_->estimates());
  }
  void do_mean(VectorView<double> mean) const override;
  void do_variance(VectorView<double> variance) const override;
  void do_covariance(MatrixView<double> covariance) const override;
  void do_mode(VectorView<double> mode) const override;
  double do_entropy() const override;
  void do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const override;
  void do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override { join(false); }

  Poly<Distribution<T>> base_;
  Poly<Bijector<T>> bijector_;
};

/// The scalar type follows from the base.
template <class Base, class Map>
TransformedDistribution(Base, Map) -> TransformedDistribution<ScalarOf<Base>>;

extern template class TransformedDistribution<float>;
extern template class TransformedDistribution<double>;

}  // namespace pushforward
