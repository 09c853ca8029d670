#pragma once

#include <limits>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// y = x exp(d x^2 / 2), of the real line onto itself: Tukey's h, which makes the tails of a normal base heavy, with
/// index 1 / d; parameter: raw, d = sigmoid(raw - 3) between 0 and 1: 0 gives d = 0.047.
/// log derivative: d x^2 / 2 + log(1 + d x^2).
///
/// @par Numerics  `inverse` is y exp(-W(d y^2) / 2) with Lambert's W, which needs no care for small d. `forward`
///                overflows to infinity beyond d x^2 = 1400 (float: 170).
/// @source Goerg 2015, eq. 5 and 9; TFP's `LambertWTail(tailweight)`.
template <Scalar T>
class LambertWTransformer final : public Transformer<T> {
 public:
  LambertWTransformer() : Transformer<T>("LambertWTransformer", 1) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override;
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override { f.type("lambert_w_transformer"); }
};

extern template class LambertWTransformer<float>;
extern template class LambertWTransformer<double>;

}  // namespace pushforward
