#pragma once

#include <limits>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// y = x^a / [x^a + (1 - x)^a] = sigmoid(a logit x), of (0, 1) onto itself; parameter: raw, a = exp(bound tanh(raw /
/// bound)); 0 is the identity.
/// log derivative: log a + log[y (1 - y)] - log[x (1 - x)].
///
/// @par Numerics  by logarithms; values stop at the numbers of T next to 0 and 1.
/// @throws DomainError  unless 0 < bound <= 20.
/// @source bijx' `BetaStretch`.
template <Scalar T>
class BetaStretchTransformer final : public Transformer<T> {
 public:
  static constexpr double default_bound = 5;
  explicit BetaStretchTransformer(double bound = default_bound);

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override;
  Interval do_domain() const override { return unit_interval; }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  double bound_;
};

extern template class BetaStretchTransformer<float>;
extern template class BetaStretchTransformer<double>;

}  // namespace pushforward
