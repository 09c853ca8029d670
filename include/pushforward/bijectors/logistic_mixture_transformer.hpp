#pragma once

#include <limits>
#include <vector>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// x = exp(a) logit F(y) + b with the distribution function F of a mixture of logistics: every smooth increasing map,
/// given components enough. F(y) = sum_k p_k sigmoid((y - m_k) exp(-s_k)).
///
/// The way from y to x is closed; the other one is NumericalInverse's:
/// `NumericalInverse<T>(LogisticMixtureTransformer<T>(8))`. log derivative of it: log F'(y) - log F(y) - log(1 - F(y))
/// + a.
///
/// Parameters, 3 components + 2: a raw weight, then a location, then a raw log scale for each component; raw a; b. p is
/// the softmax of the raw weights; m_k is its parameter plus the logistic's quantile at (k + 1/2) / components times
/// `spread`, and s_k = bound tanh(raw / bound) less what that adds to the width: all 0 is near the identity, and no two
/// components are equal. a = bound tanh(raw / bound).
///
/// @par Numerics  all by logarithms: exact where F is next to 0 or 1 by less than T can say, some hundreds out too.
/// @par Cost      some 6 exp and log for each component.
/// @throws ShapeError   if there is no component.
/// @throws DomainError  unless 0 < bound <= 20 and 0 <= spread < 1.
/// @source Ho et al. 2019 (Flow++), eq. 10 to 12; with softmax weights the deep sigmoid of Huang et al. 2018 (NAF), eq.
///         8.
template <Scalar T>
class LogisticMixtureTransformer final : public Transformer<T> {
 public:
  static constexpr double default_bound = 5, default_spread = 0.5;
  explicit LogisticMixtureTransformer(Index components = 8, double bound = default_bound,
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

extern template class LogisticMixtureTransformer<float>;
extern template class LogisticMixtureTransformer<double>;

}  // namespace pushforward
