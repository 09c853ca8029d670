#pragma once

#include <pushforward/wrapper.hpp>

namespace pushforward {

/// A distribution that sees its context standardised: inner(y | (context - shift) / scale).
///
/// @par Parameters  those of `inner`. State: shift, scale: (context_dim), which training leaves alone.
template <Scalar T>
class StandardizedContext final : public Wrapper<Distribution<T>> {
 public:
  /// @throws ShapeError   if the sizes differ from inner's context_dim or it takes no context.
  /// @throws DomainError  if a shift is not finite or a scale not positive and finite.
  StandardizedContext(Poly<Distribution<T>> inner, VectorView<const double> shift, VectorView<const double> scale);
  explicit StandardizedContext(Blank) : Wrapper<Distribution<T>>("StandardizedContext") {}

  const Tensor<T>& shift() const { return shift_; }
  const Tensor<T>& scale() const { return scale_; }

 private:
  Var<T> do_context(Pass<T>& pass) const override;
  void do_fields(Fields<T>& f) override;

  Tensor<T> shift_;
  Tensor<T> scale_;
};

extern template class StandardizedContext<float>;
extern template class StandardizedContext<double>;

}  // namespace pushforward
