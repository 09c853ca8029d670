#pragma once

#include <limits>
#include <vector>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// x = Phi^-1(mean over k of Phi(t_k)), t_k = exp(a_k) y + b_k: takes a mixture of normal distributions to a normal
/// one.
///
/// The way from y to x is closed; the other one is NumericalInverse's.
/// log derivative of it: log mean_k exp(a_k - t_k^2 / 2) + x^2 / 2.
///
/// Parameters, 2 components: b_k, then a raw log scale for each component. a_k = bound tanh(raw / bound); to b_k comes
/// the normal quantile at (k + 1/2) / components times `spread`, and to a_k what makes all 0 near the identity with no
/// two components equal. With spread 0 they are as zuko has them.
///
/// @par Numerics  by logarithms of Phi of both signs, of which the smaller one is inverted: far out x has all digits
///                  too.
/// @par Cost      two log Phi, in double, for each component.
/// @throws ShapeError   if there is no component.
/// @throws DomainError  unless 0 < bound <= 20 and spread >= 0 is finite.
/// @source Meng et al. 2020, eq. 7, with equal weights; zuko's `GaussianizationTransform(shift, scale)`, which moves F
///         away from 0 and 1 by a millionth.
template <Scalar T>
class GaussianizationTransformer final : public Transformer<T> {
 public:
  static constexpr double default_bound = 5, default_spread = 0.5;
  explicit GaussianizationTransformer(Index components = 8, double bound = default_bound,
                                      double spread = default_spread);

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override;
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  Index components_;
  double bound_, spread_;
  std::vector<T> location_;
  T log_scale_ = T(0);
};

extern template class GaussianizationTransformer<float>;
extern template class GaussianizationTransformer<double>;

}  // namespace pushforward
