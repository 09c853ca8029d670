#pragma once

#include <pushforward/distribution.hpp>

namespace pushforward {

/// A distribution that sees its context standardised: inner(y | (context - shift) / scale).
///
/// @par Parameters  those of `inner`. State: shift, scale: (context_dim), which training leaves alone.
template <Scalar T>
class StandardizedContext final : public Distribution<T> {
 public:
  /// @throws ShapeError   if the sizes differ from inner's context_dim or it takes no context.
  /// @throws DomainError  if a shift is not finite or a scale not positive and finite.
  StandardizedContext(Poly<Distribution<T>> inner, VectorView<const double> shift, VectorView<const double> scale);
  explicit StandardizedContext(Blank) : Distribution<T>("StandardizedContext") {}

  const Distribution<T>& inner() const { return *inner_; }
  Distribution<T>& inner() { return *inner_; }
  const Tensor<T>& shift() const { return shift_; }
  const Tensor<T>& scale() const { return scale_; }

 private:
  /// f(), with the context of the pass standardised.
  template <class F>
  auto standardized(Pass<T>& pass, F f) const;
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override;
  bool do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const override;
  Var<T> do_sample(Pass<T>& pass) const override;
  Drawn<T> do_sample_and_log_prob(Pass<T>& pass) const override;
  bool do_is_reparameterized() const override { return inner_->is_reparameterized(); }
  Space do_support() const override { return inner_->support(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  Poly<Distribution<T>> inner_;
  Tensor<T> shift_;
  Tensor<T> scale_;
};

extern template class StandardizedContext<float>;
extern template class StandardizedContext<double>;

}  // namespace pushforward
