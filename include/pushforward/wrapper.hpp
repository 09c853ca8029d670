#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <pushforward/bijector.hpp>
#include <pushforward/distribution.hpp>
#include <pushforward/latents.hpp>

namespace pushforward {

/// A base for classes around one object: every hook goes on to the inner object, so that a class overrides only what
/// differs. `Wrapper<Distribution<T>>` is a Distribution<T>, `Wrapper<Bijector<T>>` a Bijector<T>.
///
/// The class gives its type in `do_fields`, where the base names the inner object, and adds fields of its own. What it
/// does not override must be true of it: one that changes the density overrides moments, tails, prefixes, latents and
/// divergence too, if only to say that it has none.
///
/// Of distributions `do_context` changes what the inner object sees as the context, in all hooks at once:
/// StandardizedContext overrides nothing else. Invert is a wrapper with the two directions swapped.
template <class Base>
class Wrapper;

template <Scalar T>
class Wrapper<Distribution<T>> : public Distribution<T>, public Latents<T>, private Prefixes<T> {
 public:
  const Distribution<T>& inner() const { return *inner_; }
  Distribution<T>& inner() { return *inner_; }

  const Distribution<T>* latent_base() const override { return pushforward::latent_base(*inner_); }
  Var<T> latent(Pass<T>& pass, Var<T> y) const override {
    return within(pass, [&](const auto& inner) { return pushforward::latent(inner, pass, y); });
  }

 protected:
  /// Its name becomes "Name(Inner)".
  Wrapper(std::string name, Poly<Distribution<T>> inner) : Distribution<T>(std::move(name)), inner_(std::move(inner)) {
    Wrapper::do_restored();
  }
  /// To be restored.
  explicit Wrapper(std::string name) : Distribution<T>(std::move(name)) {}

  /// The inner object as the part "inner"; the class that overrides it gives the type and its own fields.
  void do_fields(Fields<T>& f) override { f.part("inner", inner_); }
  void do_restored() override {
    this->set_name(this->name() + "(" + inner_->name() + ")");
    this->set_shape(inner_->event_shape(), inner_->context_dim());
  }

 private:
  using Tail = typename Distribution<T>::Tail;
  /// The context that the inner object sees in every hook that has a pass.
  virtual Var<T> do_context(Pass<T>& pass) const { return pass.context(); }
  /// f(inner), in that context.
  template <class F>
  auto within(Pass<T>& pass, F f) const {
    struct Restore {
      Pass<T>& pass;
      Var<T> old;
      ~Restore() { pass.exchange_context(old); }
    };
    const Var<T> context = do_context(pass);
    const Restore restore{pass, pass.exchange_context(context)};
    return f(*inner_);
  }

  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override {
    return within(pass, [&](const auto& inner) { return inner.log_prob(pass, y); });
  }
  Var<T> do_sample(Pass<T>& pass) const override {
    return within(pass, [&](const auto& inner) { return inner.sample(pass); });
  }
  Drawn<T> do_sample_and_log_prob(Pass<T>& pass) const override {
    return within(pass, [&](const auto& inner) { return inner.sample_and_log_prob(pass); });
  }
  bool do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const override {
    return within(pass, [&](const auto& inner) { return inner.propose_start(pass, y, weights); });
  }
  const Prefixes<T>* do_prefixes() const override { return this; }
  std::vector<std::int64_t> do_triangular_order() const override { return inner_->triangular_order(); }
  Column<T> do_marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override {
    return within(pass, [&](const auto& inner) { return inner.marginal_log_prob(pass, y, columns); });
  }
  Var<T> do_sample_given(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override {
    return within(pass, [&](const auto& inner) { return inner.sample_given(pass, y, columns); });
  }
  bool do_is_reparameterized() const override { return inner_->is_reparameterized(); }
  Estimate do_estimates() const override { return inner_->estimates(); }
  Space do_support() const override { return inner_->support(); }
  void do_mean(VectorView<double> mean) const override { inner_->mean_into(mean); }
  void do_variance(VectorView<double> variance) const override { inner_->variance_into(variance); }
  void do_covariance(MatrixView<double> covariance) const override { inner_->covariance_into(covariance); }
  void do_mode(VectorView<double> mode) const override { inner_->mode_into(mode); }
  double do_entropy() const override { return inner_->entropy(); }
  std::optional<double> do_kl_divergence(const Distribution<T>& other) const override {
    return inner_->exact_kl_divergence(other);
  }
  void do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const override {
    inner_->tail_into(tail, y, out);
  }
  void do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const override {
    inner_->quantile_into(p, out, complement);
  }

  Poly<Distribution<T>> inner_;
};

template <Scalar T>
class Wrapper<Bijector<T>> : public Bijector<T> {
 public:
  const Bijector<T>& inner() const { return *inner_; }
  Bijector<T>& inner() { return *inner_; }

 protected:
  /// Its name becomes "Name(Inner)".
  Wrapper(std::string name, Poly<Bijector<T>> inner) : Bijector<T>(std::move(name)), inner_(std::move(inner)) {
    Wrapper::do_restored();
  }
  /// To be restored.
  explicit Wrapper(std::string name) : Bijector<T>(std::move(name)) {}

  /// The inner object as the part "inner"; the class that overrides it gives the type and its own fields.
  void do_fields(Fields<T>& f) override { inner_field(f, "inner"); }
  void inner_field(Fields<T>& f, std::string_view name) { f.part(name, inner_); }
  void do_restored() override {
    this->set_name(this->name() + "(" + inner_->name() + ")");
    this->set_shape(inner_->base_dim(), inner_->event_shape(), inner_->context_dim());
  }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return inner_->forward(pass, x); }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return inner_->inverse(pass, y); }
  int do_min_event_ndims() const override { return inner_->forward_min_event_ndims(); }
  bool do_is_elementwise() const override { return inner_->is_elementwise(); }
  bool do_is_constant_jacobian() const override { return inner_->is_constant_jacobian(); }
  bool do_is_constant_log_det() const override { return inner_->is_constant_log_det(); }
  std::vector<bool> do_is_increasing() const override { return inner_->is_increasing(); }
  bool do_has_forward() const override { return inner_->has_forward(); }
  bool do_has_inverse() const override { return inner_->has_inverse(); }
  Space do_domain() const override { return inner_->domain(); }
  Space do_codomain() const override { return inner_->codomain(); }
  Space do_image(bool forward, const Space& from) const override {
    return forward ? inner_->image(from) : inner_->preimage(from);
  }
  double do_log_scale_bound() const override { return inner_->log_scale_bound(); }
  Estimate do_estimates() const override { return inner_->estimates(); }
  std::vector<std::int64_t> do_triangular_order() const override { return inner_->triangular_order(); }
  Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const override {
    return inner_->log_derivative(forward, pass, in);
  }

  Poly<Bijector<T>> inner_;
};

}  // namespace pushforward
