#pragma once

#include <limits>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// The inverse of the Yeo-Johnson transformation with a learned power l = 2 sigmoid(r), r = bound tanh(raw / bound), of
/// the real line onto itself; parameter: raw, 0 the identity. On the way to the base side
///   x = [(1 + y)^l - 1] / l for y >= 0,  x = -[(1 - y)^(2 - l) - 1] / (2 - l) below,
/// which takes skewed columns to symmetric ones. log derivative, in forward: (1 / m - 1) log(1 + m |x|), m = l for x >=
/// 0, else 2 - l.
///
/// @par Numerics  both directions in closed form, by log1p and expm1; l and 2 - l each from its own sigmoid. The
///                density is continuous, its gradient in y has a kink at 0.
/// @throws DomainError  unless 0 < bound <= 20.
/// @source Yeo and Johnson 2000, eq. 2.1; SciPy's `yeojohnson(y, lmbda)` is the inverse.
template <Scalar T>
class YeoJohnsonTransformer final : public Transformer<T> {
 public:
  static constexpr double default_bound = 5;
  explicit YeoJohnsonTransformer(double bound = default_bound);

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

extern template class YeoJohnsonTransformer<float>;
extern template class YeoJohnsonTransformer<double>;

}  // namespace pushforward
