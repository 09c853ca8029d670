#pragma once

#include <limits>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// y = exp(s) x + shift with s = bound * tanh(raw / bound); parameters: shift, raw.
/// log derivative: s in forward, -s in inverse.
///
/// With a `tail`, an element's slope dy/dx rises between |x| = tail and tail + 1 to 0.918 at least where it is smaller,
/// linearly in x: with e = max(|x| - tail, 0), p = min(e, 1) and q the integral of p from 0 to e,
///
///     y = exp(s) x + sign(x) l q + shift,    dy/dx = exp(s) + l p,    l = (1 - exp(s)) (1 - exp(4 s))    where s < 0.
///
/// So a row far from where the parameters were learned is hardly thrown out further: whatever the scale, |x| is less
/// than tail + 0.55 + 1.09 |y - shift|. Up to `tail` base units the map is affine, to the bit.
///
/// @par Numerics  both directions in closed form. The density is continuous, its gradient in x has kinks at tail and
///                tail + 1; in s it is smooth, at the identity too, where training starts. |s| does not go beyond 87 in
///                float and 708 in double, whatever the bound: exp(s) and exp(-s) are normal numbers.
/// @source Papamakarios et al. 2021, eq. 31; the bound: |s| <= bound at both ends, the identity at raw = 0.
template <Scalar T>
class AffineTransformer final : public Transformer<T> {
 public:
  static constexpr double default_bound = 5;
  static constexpr double no_tail = std::numeric_limits<double>::infinity();
  /// @throws DomainError  if bound or tail is not positive; infinity is none.
  explicit AffineTransformer(double bound = default_bound, double tail = no_tail);

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>> params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>> params) const override;
  double do_log_scale_bound() const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  double bound_;
  double tail_;
};

/// y = x + shift with shift = bound * tanh(raw / bound), volume preserving; parameter: raw. Without a bound, which is
/// the default, shift = raw.
/// @source Dinh et al. 2015 (NICE), eq. 5.
template <Scalar T>
class AdditiveTransformer final : public Transformer<T> {
 public:
  /// @throws DomainError  if bound is not positive.
  explicit AdditiveTransformer(double bound = std::numeric_limits<double>::infinity());

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>&, Var<T> x, std::span<const Var<T>> params) const override;
  Elements do_inverse(Pass<T>&, Var<T> y, std::span<const Var<T>> params) const override;
  double do_log_scale_bound() const override { return 0; }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  double bound_;
};

extern template class AffineTransformer<float>;
extern template class AffineTransformer<double>;
extern template class AdditiveTransformer<float>;
extern template class AdditiveTransformer<double>;

}  // namespace pushforward
