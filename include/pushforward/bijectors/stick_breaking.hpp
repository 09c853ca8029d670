#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// From the real vectors of n columns to the simplex in n + 1: x_k says which share of what is left y_k takes.
///
/// z_k = 1 / (1 + exp(-(x_k - log(n + 1 - k)))), y_k = z_k (1 - z_1) ... (1 - z_(k-1)), y_(n+1) the rest;
/// x_k = log y_k - log(y_(k+1) + ... + y_(n+1)) + log(n + 1 - k), k = 1 .. n; x = 0 is the centre
///
/// log_det = sum_(i=1..n+1) log y_i
///
/// @par Measure     Lebesgue in the first n columns of the simplex, as for densities such as Dirichlet's.
/// @par Shapes      x: (N, n); y: (N, n + 1).
/// @par Parameters  none.
/// @par Numerics    Computed in logarithms: the log_det is exact also where parts are too small to be told from 0;
///                  those stop at the smallest positive number of T. `inverse` adds up the parts that follow, so it is
///                  accurate next to every face. It takes rows whose sum is 1 to within 1e-6 (float: 1e-4), and has the
///                  gradient of the formula above in all n + 1 columns.
/// @par Errors      In `inverse`, rows with a part that is not positive, or with another sum, lie outside the codomain.
/// @par Cost        O(N n), two softplus and an exp, or two logs, for each value.
/// @source Stan Reference Manual, "Unit simplex"; torch StickBreakingTransform, TFP IteratedSigmoidCentered.
/// @throws ShapeError  if base_dim < 1.
template <Scalar T>
class StickBreaking final : public Bijector<T> {
 public:
  explicit StickBreaking(Index base_dim);

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override;
  void do_fields(Fields<T>& f) override;
};

extern template class StickBreaking<float>;
extern template class StickBreaking<double>;

}  // namespace pushforward
