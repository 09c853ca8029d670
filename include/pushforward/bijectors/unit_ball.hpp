#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// From the real vectors to the open unit ball, along rays from its middle.
///
/// y = x / sqrt(1 + s), s = |x|^2; x = y / sqrt(d), d = 1 - |y|^2
///
/// log_det = -(dim / 2 + 1) log(1 + s) = (dim / 2 + 1) log d
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` stays inside, dim + 4 roundings from the sphere at least, where x beyond some 1e7 (float:
///                  1e3) crowd.
///                  Close to the sphere y says little of x: d is a difference.
/// @par Errors      In `inverse`, rows with |y| >= 1 lie outside the codomain.
/// @par Cost        O(N dim).
/// @throws ShapeError  if dim < 1.
template <Scalar T>
class UnitBall final : public Bijector<T> {
 public:
  explicit UnitBall(Index dim) : Bijector<T>("UnitBall", dim) {}

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override { return Space::ball(this->dim()); }
  void do_fields(Fields<T>& f) override;
};

extern template class UnitBall<float>;
extern template class UnitBall<double>;

}  // namespace pushforward
