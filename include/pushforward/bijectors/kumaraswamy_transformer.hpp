#pragma once

#include <limits>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// y = 1 - (1 - x^a)^b, the Kumaraswamy distribution function, of (0, 1) onto itself; parameters: raw values of a and
/// b, each exp(bound tanh(raw / bound)); all 0 is the identity.
/// log derivative: log(a b) + (a - 1) log x + (b - 1) log(1 - x^a).
///
/// @par Numerics  by logarithms; values stop at the numbers of T next to 0 and 1.
/// @throws DomainError  unless 0 < bound <= 20.
/// @source Kumaraswamy 1980; TFP's `KumaraswamyCDF(concentration1 = a, concentration0 = b)`.
template <Scalar T>
class KumaraswamyTransformer final : public Transformer<T> {
 public:
  static constexpr double default_bound = 5;
  explicit KumaraswamyTransformer(double bound = default_bound);

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

extern template class KumaraswamyTransformer<float>;
extern template class KumaraswamyTransformer<double>;

}  // namespace pushforward
