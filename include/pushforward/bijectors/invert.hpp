#pragma once

#include <pushforward/wrapper.hpp>

namespace pushforward {

/// A bijector with its two directions swapped.
template <Scalar T>
class Invert final : public Wrapper<Bijector<T>> {
 public:
  explicit Invert(Poly<Bijector<T>> bijector);
  explicit Invert(Blank) : Wrapper<Bijector<T>>("Invert") {}

  const Bijector<T>& bijector() const { return this->inner(); }
  Bijector<T>& bijector() { return this->inner(); }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return bijector().inverse(pass, x); }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return bijector().forward(pass, y); }
  bool do_has_forward() const override { return bijector().has_inverse(); }
  bool do_has_inverse() const override { return bijector().has_forward(); }
  Space do_domain() const override { return bijector().codomain(); }
  Space do_codomain() const override { return bijector().domain(); }
  Space do_image(bool forward, const Space& from) const override {
    return forward ? bijector().preimage(from) : bijector().image(from);
  }
  Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const override {
    return bijector().log_derivative(!forward, pass, in);
  }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  void swap_sides();
};

/// The scalar type follows from the bijector.
template <class B>
Invert(B) -> Invert<ScalarOf<B>>;

extern template class Invert<float>;
extern template class Invert<double>;

}  // namespace pushforward
