#pragma once

#include <limits>

#include <numbers>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// The circle projected onto the line, there moved and stretched, and back: with theta = 2 pi (y - low) / (high - low)
/// from 0 to 2 pi,
///   theta' = 2 atan(a tan(theta / 2 - pi / 2) + b) + pi,
///   dtheta'/dtheta = a / [sin^2(theta / 2) + (a cos(theta / 2) - b sin(theta / 2))^2],
/// and x = low + (high - low) theta' / (2 pi). Both directions are closed; `low` stays where it is.
///
/// Parameters, 2: a raw logarithm, a = exp(bound tanh(raw / bound)), then b. All 0 is the identity.
///
/// @par Numerics  by angles of vectors: no tangent becomes infinite.
/// @par Errors    values outside [low, high] lie outside the domain.
/// @throws DomainError  unless low < high are finite and 0 < bound <= 20.
/// @source Rezende et al. 2020, section 2.1.3, eq. 15.
template <Scalar T>
class NonCompactProjectionTransformer final : public Transformer<T> {
 public:
  static constexpr double default_bound = 5;
  explicit NonCompactProjectionTransformer(double low = -std::numbers::pi, double high = std::numbers::pi, double bound = default_bound);

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override { return map(true, pass, x, params); }
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override { return map(false, pass, y, params); }
  Elements map(bool back, Pass<T>& pass, Var<T> v, Params params) const;
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  Interval do_domain() const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  double low_, high_, bound_;
};

extern template class NonCompactProjectionTransformer<float>;
extern template class NonCompactProjectionTransformer<double>;

}  // namespace pushforward
