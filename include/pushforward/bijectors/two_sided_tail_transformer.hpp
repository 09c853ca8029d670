#pragma once

#include <limits>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// Gives a normal base tails that fall as powers, on each side with a learned index of its own: for x >= 0
///   y = [erfc(x / sqrt 2)^(-l) - 1] / l,
/// and the same with signs turned for x < 0. Parameters: a raw value for the right and for the left, l = exp(bound
/// tanh(raw / bound) - 2): 0 gives l = 0.14. Far out P(Y > y) falls as y^(-1 / l). Put it last, at the side of the
/// data. log derivative: -(l + 1) log erfc(|x| / sqrt 2) - x^2 / 2 + log(2 / pi) / 2.
///
/// @par Numerics  by logarithms of erfc, with all digits near 0 and as far out as x^2 is finite; the slope at 0 is
///                sqrt(2 / pi) for every l. `forward` stops at the largest numbers of T.
/// @throws DomainError  unless 0 < bound <= 20.
/// @source Hickling and Prangle 2024 (tail transform flows), eq. 5, with their scale and shift 1 and 0.
template <Scalar T>
class TwoSidedTailTransformer final : public Transformer<T> {
 public:
  static constexpr double default_bound = 3;
  explicit TwoSidedTailTransformer(double bound = default_bound);

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

extern template class TwoSidedTailTransformer<float>;
extern template class TwoSidedTailTransformer<double>;

}  // namespace pushforward
