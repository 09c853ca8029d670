#pragma once

#include <pushforward/bijectors/affine.hpp>

namespace pushforward {

/// Elementwise affine map that starts from the data: y = exp(s) x + shift with s = bound * tanh(log_scale / bound).
///
/// log_det = sum_d s_d
///
/// The first training batch that passes through `inverse` with Statistics::minibatch sets shift to its mean and exp(s)
/// to sqrt(variance + epsilon), so that the base side starts with mean 0 and variance 1. That batch is normalised with
/// these values, as constants; the values are proposed, and become the parameters when the caller commits. From then
/// on, and in every other call before, this is a plain `Affine`: `forward` (sampling) never starts it, and with
/// Statistics::running the current parameters are used.
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  shift, log_scale: (dim), unconstrained, 0 before the start: the identity. |s| never exceeds `bound`
///                  (default 10). No weight decay. State: initialized, 0 or 1.
/// @par Numerics    Variance is biased (1/N), in double. A start beyond 0.99 bound is moved there, where the soft bound
///                  still lets gradients pass. A batch of no rows starts nothing; one row has variance 0.
/// @par Cost        O(N dim).
/// @throws DomainError  if bound is not positive (infinity is none) or epsilon not positive and finite.
/// @source Kingma and Dhariwal 2018 (Glow), section 3.1.
template <Scalar T>
class ActNorm final : public Affine<T> {
 public:
  static constexpr double default_epsilon = 1e-6;

  explicit ActNorm(Index dim, double bound = Affine<T>::default_bound, double epsilon = default_epsilon);

  bool is_initialized() const { return initialized_[0] != T(0); }

 private:
  using Values = typename Affine<T>::Values;
  Values values(Pass<T>& pass, Var<T> y) const override;
  Values from_moments(Pass<T>& pass, const double* mean, const double* variance) const;
  Values from_batch(Pass<T>& pass, Var<T> y) const;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  Tensor<T> initialized_;
  double epsilon_;
};

extern template class ActNorm<float>;
extern template class ActNorm<double>;

}  // namespace pushforward
