#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// From the real vectors of n columns to the simplex in n + 1: the softmax of V x, V (n + 1, n) with the orthonormal
/// columns v_k = (1, ..., 1, -k, 0, ..., 0) / sqrt(k (k + 1)) of k ones. No category is another one's reference: to
/// permute them is to rotate x. The choice for flows on a simplex.
///
/// log_det = sum_(i=1..n+1) log y_i + log(n + 1) / 2
///
/// @par Measure     Lebesgue in the first n columns of the simplex, as everywhere here.
/// @par Shapes      x: (N, n); y: (N, n + 1).
/// @par Parameters  none.
/// @par Numerics    as SoftmaxCentered; `inverse` is V' log y.
/// @par Errors      In `inverse`, rows with a part that is not positive, or with another sum, lie outside the codomain.
/// @par Cost        O(N n).
/// @source Egozcue et al. 2003, eq. 17 and 18, with the other sign; Stan's simplex.
/// @throws ShapeError  if base_dim < 1.
template <Scalar T>
class IsometricLogRatio final : public Bijector<T> {
 public:
  explicit IsometricLogRatio(Index base_dim);
  explicit IsometricLogRatio(Blank) : Bijector<T>("IsometricLogRatio") {}

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override { return Space::simplex(this->dim()); }
  void do_fields(Fields<T>& f) override;
};

extern template class IsometricLogRatio<float>;
extern template class IsometricLogRatio<double>;

}  // namespace pushforward
