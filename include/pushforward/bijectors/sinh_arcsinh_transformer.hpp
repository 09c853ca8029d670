#pragma once

#include <limits>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// y = k sinh(t [arsinh(x) + s]), k = 2 / sinh(t arsinh 2), of the real line onto itself; parameters: the skewness s
/// and raw, t = exp(bound tanh(raw / bound)) the weight of the tails (above 1 heavier). All 0 is the identity.
/// log derivative: log(k t) + log cosh(t [arsinh(x) + s]) - log(1 + x^2) / 2.
///
/// @par Numerics  both directions in closed form and without cancellation; the outer sinh overflows to infinity.
/// @throws DomainError  unless 0 < bound <= 20.
/// @source Jones and Pewsey 2009, eq. 1; TFP's `SinhArcsinh(skewness, tailweight)`, whose factor k is taken.
template <Scalar T>
class SinhArcsinhTransformer final : public Transformer<T> {
 public:
  static constexpr double default_bound = 2;
  explicit SinhArcsinhTransformer(double bound = default_bound);

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override;
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  double bound_;
};

extern template class SinhArcsinhTransformer<float>;
extern template class SinhArcsinhTransformer<double>;

}  // namespace pushforward
