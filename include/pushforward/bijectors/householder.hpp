#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// A learned rotation, for an odd count with a reflection: `count` reflections one after the other,
/// x - 2 v (v . x) / (v . v) for each vector v.
///
/// log_det = 0
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  vectors (count, dim), unconstrained; initially unit vectors in equal pairs, which undo each other:
///                  the identity for an even count; an odd one ends with a single one. `dim` reflections reach every
///                  orthogonal matrix. No weight decay: the length of a vector means nothing.
/// @par Numerics    Orthogonal to rounding for any vectors; one of length 0 does nothing.
/// @par Cost        O(N count dim) in both directions.
/// @throws ShapeError  if dim or count < 1.
/// @source Tomczak and Welling 2016, eq. 6; nflows' `HouseholderSequence`, pyro's `Householder`. QR and SVD of the
///         peers are Chain(TriangularLinear, Householder) and Chain(Householder, Affine, Householder).
template <Scalar T>
class Householder final : public Bijector<T> {
 public:
  explicit Householder(Index dim, Index count = 2);

  const Tensor<T>& vectors() const { return vectors_; }
  Tensor<T>& vectors() { return vectors_; }

 private:
  Var<T> reflected(Pass<T>& pass, Var<T> v, bool forward) const;
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return {reflected(pass, x, true), {}}; }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return {reflected(pass, y, false), {}}; }
  bool do_is_constant_jacobian() const override { return true; }
  double do_log_scale_bound() const override { return 0; }
  void do_fields(Fields<T>& f) override;

  Index count_ = 2;
  Tensor<T> vectors_;
};

extern template class Householder<float>;
extern template class Householder<double>;

}  // namespace pushforward
