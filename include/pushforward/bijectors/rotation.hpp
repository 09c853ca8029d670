#pragma once

#include <cstdint>

#include <pushforward/bijector.hpp>

namespace pushforward {

/// A learned rotation, y = exp(A - A') x for each row x as a column vector: every matrix of determinant 1 whose inverse
/// is its transpose, smooth in A. Reflections: `Householder`.
///
/// log_det = 0
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  a (dim, dim), of which the part above the diagonal less that below counts, initially 0: the
///                  identity. No weight decay.
/// @par Numerics    the exponential as in MatrixExponential; orthogonal to rounding.
/// @par Cost        O(N dim^2), and some 20 dim^3 for each pass; `Householder` with few reflections is cheaper.
/// @throws ShapeError  if dim < 1.
/// @source Lezcano-Casado and Martínez-Rubio 2019, section 3.1; zuko's `RotationTransform`.
template <Scalar T>
class Rotation final : public Bijector<T> {
 public:
  explicit Rotation(Index dim);
  /// A rotation of the seed to start with: a has normal numbers of variance 1 / dim.
  Rotation(Index dim, std::uint64_t seed);

  const Tensor<T>& a() const { return a_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return {rotated(pass, x, true), {}}; }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return {rotated(pass, y, false), {}}; }
  Var<T> rotated(Pass<T>& pass, Var<T> v, bool forward) const;
  bool do_is_constant_jacobian() const override { return true; }
  double do_log_scale_bound() const override { return 0; }
  void do_fields(Fields<T>& f) override;

  Tensor<T> a_;
};

extern template class Rotation<float>;
extern template class Rotation<double>;

}  // namespace pushforward
