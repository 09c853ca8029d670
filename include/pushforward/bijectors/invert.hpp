#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// A bijector with its two directions swapped.
template <Scalar T>
class Invert final : public Bijector<T> {
 public:
  explicit Invert(Poly<Bijector<T>> bijector);
  explicit Invert(Blank) : Bijector<T>("Invert") {}

  const Bijector<T>& bijector() const { return *bijector_; }
  Bijector<T>& bijector() { return *bijector_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return bijector_->inverse(pass, x); }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return bijector_->forward(pass, y); }
  bool do_is_elementwise() const override { return bijector_->is_elementwise(); }
  bool do_is_constant_jacobian() const override { return bijector_->is_constant_jacobian(); }
  bool do_is_constant_log_det() const override { return bijector_->is_constant_log_det(); }
  std::vector<bool> do_is_increasing() const override { return bijector_->is_increasing(); }
  bool do_has_forward() const override { return bijector_->has_inverse(); }
  bool do_has_inverse() const override { return bijector_->has_forward(); }
  Space do_domain() const override { return bijector_->codomain(); }
  Space do_codomain() const override { return bijector_->domain(); }
  Space do_image(bool forward, const Space& from) const override {
    return forward ? bijector_->preimage(from) : bijector_->image(from);
  }
  double do_log_scale_bound() const override { return bijector_->log_scale_bound(); }
  std::vector<std::int64_t> do_triangular_order() const override { return bijector_->triangular_order(); }
  Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const override {
    return bijector_->log_derivative(!forward, pass, in);
  }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  Poly<Bijector<T>> bijector_;
};

/// The scalar type follows from the bijector.
template <class B>
Invert(B) -> Invert<ScalarOf<B>>;

extern template class Invert<float>;
extern template class Invert<double>;

}  // namespace pushforward
