#pragma once

#include <initializer_list>
#include <limits>
#include <optional>

#include <pushforward/bijector.hpp>
#include <pushforward/nn/network.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

/// Any transformer as a map of each column by itself: y_d = tau(x_d; raw_d), with parameters raw_d of the column's own,
/// learned or given, or computed from the context by a network, which makes a conditional density of any base.
///
/// log_det = sum_d log |tau'(x_d)|
///
/// With an `input_bound` b the network sees b tanh(c / b) in place of the context c, so that no context leads further
/// from those that were learned from than b; the transformer sees c.
///
/// @par Shapes      x, y: (N, dim); context: (N, inputs of the network).
/// @par Parameters  raw: (multiplier * dim), parameter p of column d at p * dim + d; initially 0. No weight decay. Or
///                  those of the network, under "net", whose outputs stand in the same order. The transformer's own,
///                  under "transformer".
/// @par Cost        that of the transformer for N dim values, and of the network.
/// @throws ShapeError  if dim < 1; if the network does not have multiplier * dim outputs, or takes a context beside its
///                     inputs, which are the context; if there are not multiplier * dim given parameters.
/// @throws DomainError  if a given parameter is not finite, or input_bound is not positive.
template <Scalar T>
class Elementwise : public ElementwiseBijector<T> {
 public:
  Elementwise(Poly<Transformer<T>> transformer, Index dim)
      : Elementwise("Elementwise", std::move(transformer), dim) {}
  Elementwise(Poly<Transformer<T>> transformer, Index dim, Poly<Network<T>> net,
              double input_bound = std::numeric_limits<double>::infinity());
  /// With the given parameters, which training leaves alone: `Elementwise(AffineTransformer<double>(), 2, {1, 2, 0,
  /// 0})`.
  Elementwise(Poly<Transformer<T>> transformer, Index dim, VectorView<const T> raw);
  explicit Elementwise(Blank) : ElementwiseBijector<T>("Elementwise") {}

  const Transformer<T>& transformer() const { return *transformer_; }
  /// Null without one.
  const Network<T>* net() const { return net_ ? &**net_ : nullptr; }
  double input_bound() const { return input_bound_; }
  /// Without values where a network computes them.
  const Tensor<T>& raw() const { return raw_; }
  Tensor<T>& raw() { return raw_; }

 protected:
  /// For classes that are this with one transformer: by their own name, and in files by `type`, with the transformer as
  /// the part that `part` says.
  Elementwise(std::string name, Poly<Transformer<T>> transformer, Index dim);
  void named_fields(Fields<T>& f, std::string_view type, std::string_view part);

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  std::span<const Var<T>> params(Pass<T>& pass) const;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override {
    return transformer_->forward(pass, x, params(pass));
  }
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override {
    return transformer_->inverse(pass, y, params(pass));
  }
  Space do_domain() const override { return Space::box(this->dim(), transformer_->domain()); }
  Space do_codomain() const override { return Space::box(this->dim(), transformer_->codomain()); }
  bool do_is_constant_jacobian() const override { return transformer_->log_scale_bound() == 0; }
  double do_log_scale_bound() const override {
    return transformer_->log_scale_bound() * static_cast<double>(this->dim());
  }
  void do_restored() override;
  void do_fields(Fields<T>& f) override { named_fields(f, "elementwise", "transformer"); }

  Poly<Transformer<T>> transformer_;
  std::optional<Poly<Network<T>>> net_;
  double input_bound_ = std::numeric_limits<double>::infinity();
  Tensor<T> raw_;
  bool trainable_ = true;
};

/// The scalar type follows from the transformer.
template <class C>
Elementwise(C, Index) -> Elementwise<ScalarOf<C>>;
template <class C, class Net>
Elementwise(C, Index, Net, double = 0) -> Elementwise<ScalarOf<C>>;
template <class C>
Elementwise(C, Index, std::initializer_list<double>) -> Elementwise<ScalarOf<C>>;

extern template class Elementwise<float>;
extern template class Elementwise<double>;

}  // namespace pushforward
