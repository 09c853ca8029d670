#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// From the real vectors to the open ball of the sum norm, sum_i |y_i| < 1: column after column takes a share of what the
/// ones before have left, of either sign.
///
/// y_i = R_i tanh x_i, R_1 = 1, R_(i+1) = R_i (1 - |tanh x_i|) = R_i - |y_i|
///
/// log_det = sum_i [log R_i - 2 log cosh x_i]
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    R in logarithms: it never becomes 0 in `forward`, which stays inside, dim + 4 roundings from its
///                  sphere at least. y near it says little of x: what is left is a difference. The log_det
///                  is continuous; its derivative jumps where x_i is 0.
/// @par Errors      In `inverse`, rows with sum |y_i| >= 1 lie outside the codomain.
/// @par Cost        O(N dim), two exp and two log for each value.
/// @source numpyro's `L1BallTransform`.
/// @throws ShapeError  if dim < 1.
template <Scalar T>
class L1Ball final : public Bijector<T> {
 public:
  explicit L1Ball(Index dim) : Bijector<T>("L1Ball", dim) {}

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override { return Space::l1_ball(this->dim()); }
  void do_fields(Fields<T>& f) override;
};

extern template class L1Ball<float>;
extern template class L1Ball<double>;

}  // namespace pushforward
