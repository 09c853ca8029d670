#pragma once

#include <pushforward/bijector.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

/// Any transformer as a map of each column by itself, with parameters of its own for each: y_d = tau(x_d; raw_d).
///
/// log_det = sum_d log |tau'(x_d)|
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  raw: (multiplier * dim), parameter p of column d at p * dim + d; initially 0. No weight decay. The
///                  transformer's own, under "transformer".
/// @par Cost        that of the transformer for N dim values.
/// @throws ShapeError  if dim < 1.
template <Scalar T>
class Elementwise : public ElementwiseBijector<T> {
 public:
  Elementwise(Poly<Transformer<T>> transformer, Index dim)
      : Elementwise("Elementwise", std::move(transformer), dim) {}
  explicit Elementwise(Blank) : ElementwiseBijector<T>("Elementwise") {}

  const Transformer<T>& transformer() const { return *transformer_; }
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
  double do_log_scale_bound() const override {
    return transformer_->log_scale_bound() * static_cast<double>(this->dim());
  }
  void do_fields(Fields<T>& f) override { named_fields(f, "elementwise", "transformer"); }

  Poly<Transformer<T>> transformer_;
  Tensor<T> raw_;
};

/// The scalar type follows from the transformer.
template <class C>
Elementwise(C, Index) -> Elementwise<ScalarOf<C>>;

extern template class Elementwise<float>;
extern template class Elementwise<double>;

}  // namespace pushforward
