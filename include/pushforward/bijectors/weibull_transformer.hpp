#pragma once

#include <limits>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// y = 1 - exp(-(x / l)^k), the Weibull distribution function, from the positive numbers to (0, 1); parameters: log l,
/// and raw, k = exp(bound tanh(raw / bound)).
/// log derivative: log(k / x) + t - exp(t), t = k log(x / l).
///
/// @par Numerics  all through log x; values stop at the numbers of T next to the ends.
/// @throws DomainError  unless 0 < bound <= 20.
/// @source TFP's `WeibullCDF(scale = l, concentration = k)`.
template <Scalar T>
class WeibullTransformer final : public Transformer<T> {
 public:
  static constexpr double default_bound = 5;
  explicit WeibullTransformer(double bound = default_bound);

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override;
  Interval do_domain() const override { return positive; }
  Interval do_codomain() const override { return unit_interval; }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  double bound_;
};

extern template class WeibullTransformer<float>;
extern template class WeibullTransformer<double>;

}  // namespace pushforward
