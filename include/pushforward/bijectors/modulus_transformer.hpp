#pragma once

#include <limits>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// y = sign(x) [(1 + |x|)^p - 1] / p with p = exp(bound * sigmoid(raw - 2)) above 1; parameter: raw. Near 0 it is the
/// identity; its tails grow as |x|^p, so a base's tails become heavier.
/// log derivative: (p - 1) log(1 + |x|) in forward.
///
/// @par Numerics  both directions in closed form, by log1p and expm1. The density is continuous, its gradient in y has a
///                kink at 0. A row far out is no further out on the base side.
/// @throws DomainError  if bound is not positive and finite.
/// @source John and Draper 1980 (the modulus transformation): theirs is from y to x, with the exponent 1 / p.
template <Scalar T>
class ModulusTransformer final : public Transformer<T> {
 public:
  static constexpr double default_bound = 1.5;
  explicit ModulusTransformer(double bound = default_bound);

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>> params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>> params) const override;
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  double bound_;
};

extern template class ModulusTransformer<float>;
extern template class ModulusTransformer<double>;

}  // namespace pushforward
