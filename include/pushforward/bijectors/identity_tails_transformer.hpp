#pragma once

#include <pushforward/poly.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

/// A transformer inside [-bound, bound], moved and scaled so that it maps the interval onto itself, and the identity
/// beyond, as splines are: with the map f of the part towards the base, a = f(-bound) and b = f(bound),
///   x = -bound + 2 bound (f(y) - a) / (b - a) for |y| <= bound, x = y beyond.
/// What grows fast far out, such as a polynomial, throws no row further than the base expects. Location and scale of the
/// part no longer count: compose it with an AffineTransformer. The density jumps at the ends by the slope there.
///
/// log derivative of `inverse`: that of the part + log(2 bound / (b - a)) inside, 0 beyond.
///
/// @par Parameters  those of the part, under "transformer".
/// @par Cost        three evaluations of the part: at the value and at both ends.
/// @throws DomainError  unless bound is positive and finite, and the part maps the line onto itself.
template <Scalar T>
class IdentityTailsTransformer final : public Transformer<T> {
 public:
  explicit IdentityTailsTransformer(Poly<Transformer<T>> transformer, double bound = 5);
  explicit IdentityTailsTransformer(Blank) : Transformer<T>("IdentityTailsTransformer", 0) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override;
  int do_searches(bool forward) const override;
  double do_log_scale_bound() const override { return transformer_->log_scale_bound(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  Poly<Transformer<T>> transformer_;
  double bound_ = 5;
};

extern template class IdentityTailsTransformer<float>;
extern template class IdentityTailsTransformer<double>;

}  // namespace pushforward
