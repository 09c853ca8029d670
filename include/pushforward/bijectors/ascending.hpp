#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// From the real vectors to those of increasing numbers: the first is kept, each other one is the logarithm of a step.
///
/// y_1 = x_1, y_k = y_(k-1) + exp(x_k); x_k = log(y_k - y_(k-1)), k = 2 .. dim
///
/// log_det = sum_(k=2..dim) x_k
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    Steps that vanish beside y_(k-1) become the step to the next number of T: y increases strictly for
///                  every x, and the log_det stays that of x. `inverse` is as accurate as the differences are in T.
///                  `forward` overflows to infinity where exp does.
/// @par Errors      In `inverse`, rows with equal or decreasing neighbours lie outside the codomain.
/// @par Cost        O(N dim), one exp or log for each value.
/// @source Stan Reference Manual, "Ordered vector"; TFP Ascending, pyro OrderedTransform.
/// @throws ShapeError  if dim < 1.
template <Scalar T>
class Ascending final : public Bijector<T> {
 public:
  explicit Ascending(Index dim);

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return this->dim() == 1; }
  Space do_codomain() const override;
  void do_fields(Fields<T>& f) override;
};

extern template class Ascending<float>;
extern template class Ascending<double>;

}  // namespace pushforward
