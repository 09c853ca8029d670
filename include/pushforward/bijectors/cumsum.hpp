#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y_k = x_1 + ... + x_k: running sums of the columns, as of the steps of a walk.
///
/// log_det = 0
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Cost        O(N dim).
/// @throws ShapeError  if dim < 1.
/// @source TFP's `Cumsum`.
template <Scalar T>
class Cumsum final : public Bijector<T> {
 public:
  explicit Cumsum(Index dim) : Bijector<T>("Cumsum", dim) {}

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  double do_log_scale_bound() const override { return 0; }
  void do_fields(Fields<T>& f) override;
};

extern template class Cumsum<float>;
extern template class Cumsum<double>;

}  // namespace pushforward
