#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = x + h (x - centre), h = beta / (alpha + r), r = |x - centre|: space pulled towards a centre, or pushed away from
/// it. alpha = softplus(raw_alpha), beta = softplus(raw_beta) - alpha.
///
/// log_det = (dim - 1) log(1 + h) + log(1 + alpha beta / (alpha + r)^2)
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  centre (dim), initially 0; raw_alpha and raw_beta (1), initially such that alpha = 1 and beta = 0:
///                  the identity. No weight decay.
/// @par Numerics    `inverse` in closed form, without cancellation: r is the root of r^2 + (alpha + beta - R) r - alpha
///                  R = 0, R = |y - centre|.
/// @par Cost        O(N dim) in both directions.
/// @throws ShapeError   if dim < 1.
/// @source Rezende and Mohamed 2015, eq. 13, 14 and A.2; normflows' and pyro's `Radial`.
template <Scalar T>
class Radial final : public Bijector<T> {
 public:
  explicit Radial(Index dim);

  const Tensor<T>& centre() const { return centre_; }
  Tensor<T>& centre() { return centre_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  void do_fields(Fields<T>& f) override;
  /// |d|, (N, 1).
  Var<T> distance(Var<T> d) const;
  Column<T> log_det(Var<T> alpha, Var<T> beta, Var<T> r) const;

  Tensor<T> centre_;
  Tensor<T> raw_alpha_;
  Tensor<T> raw_beta_;
};

extern template class Radial<float>;
extern template class Radial<double>;

}  // namespace pushforward
