#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = exp(A) x for each row x as a column vector, exp(A) = sum_k A^k / k!: invertible whatever A is, with the inverse
/// exp(-A).
///
/// log_det = trace A
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  a (dim, dim), initially 0: the identity.
/// @par Numerics    by scaling and squaring with a Padé approximant, in double (Higham 2005): no series is cut off.
/// @par Cost        O(N dim^2), and some 20 dim^3 for each pass.
/// @throws ShapeError  if dim < 1.
/// @source Hoogeboom et al. 2020, section 3; pyro's `MatrixExponential`, which takes 8 terms of the series.
template <Scalar T>
class MatrixExponential final : public Bijector<T> {
 public:
  explicit MatrixExponential(Index dim);

  const Tensor<T>& a() const { return a_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return map(pass, x, true); }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return map(pass, y, false); }
  Mapped<T> map(Pass<T>& pass, Var<T> v, bool forward) const;
  bool do_is_constant_jacobian() const override { return true; }
  void do_fields(Fields<T>& f) override;

  Tensor<T> a_;
};

extern template class MatrixExponential<float>;
extern template class MatrixExponential<double>;

}  // namespace pushforward
