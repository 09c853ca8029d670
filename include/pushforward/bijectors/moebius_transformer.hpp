#pragma once

#include <numbers>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// Mixtures of Moebius maps of a circle that keep its point low = high: with theta = 2 pi (y - low) / (high - low),
///   f(theta) = theta + sum_k p_k [2 atan2(r_k sin(theta - phi_k), 1 - r_k cos(theta - phi_k)) + the same at theta = 0
///   with the other sign], df/dtheta = sum_k p_k (1 - r_k^2) / (1 + r_k^2 - 2 r_k cos(theta - phi_k)),
/// and x = low + (high - low) f / (2 pi). One component is the map of the unit circle z -> (1 - |w|^2) / |z - w|^2
/// (z - w) - w with w = r exp(i phi), turned such that 1 stays.
///
/// The way from y to x is closed; the other one is NumericalInverse's.
///
/// Parameters, 3 components: a raw weight for each component (p is their softmax), then the first, then the second
/// coordinates of the centres: w = 0.99 raw / sqrt(1 + |raw|^2). All 0 is the identity.
///
/// @par Numerics  smooth across the seam: value and slope at `low` are those at `high`. Slopes lie in [1/199, 199].
/// @par Errors    values outside [low, high] lie outside the domain.
/// @throws ShapeError   if there is no component.
/// @throws DomainError  unless low < high are finite.
/// @source Rezende et al. 2020 (normalizing flows on tori and spheres), section 2.1.1, eq. 6 to 8, there
///         w = 0.99 raw / (1 + |raw|), which has no gradient at 0.
template <Scalar T>
class MoebiusTransformer final : public Transformer<T> {
 public:
  explicit MoebiusTransformer(Index components = 8, double low = -std::numbers::pi, double high = std::numbers::pi);

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override;
  double do_log_scale_bound() const override;
  Interval do_domain() const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  Index components_;
  double low_, high_;
};

extern template class MoebiusTransformer<float>;
extern template class MoebiusTransformer<double>;

}  // namespace pushforward
