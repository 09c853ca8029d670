#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = L x + bias for each row x as a column vector, L lower triangular with the positive diagonal d =
/// softplus(raw_diagonal) + floor. Column k depends on the columns up to k alone, so prefixes keep their densities.
///
/// log_det = sum_d log d_d
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  lower (dim, dim), of which only the part strictly below the diagonal is read, initially 0;
///                  raw_diagonal (dim), unconstrained, initially such that d = 1; bias (dim), initially 0: the
///                  identity. Weight decay on lower alone.
/// @par Numerics    Exact log_det; `inverse` is a triangular solve. The condition of L itself is not bounded.
/// @par Cost        O(N dim^2) in both directions.
/// @throws ShapeError   if dim < 1, or scale_tril is not (dim, dim) for the dim values of bias.
/// @throws DomainError  if an entry is not finite, or a diagonal entry is not above the floor, naming it.
/// @source TFP's `ScaleMatvecTriL` and `Shift`; pyro's `LowerCholeskyAffine`; flowjax' `TriangularAffine`.
template <Scalar T>
class TriangularLinear final : public Bijector<T> {
 public:
  static constexpr double diagonal_floor = 1e-3;

  /// The identity.
  explicit TriangularLinear(Index dim);
  /// What lies above the diagonal of scale_tril is not read.
  TriangularLinear(VectorView<const T> bias, MatrixView<const T> scale_tril);

  /// L, (dim, dim).
  Tensor<T> matrix() const;
  const Tensor<T>& bias() const { return bias_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  std::vector<std::int64_t> do_triangular_order() const override;
  Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const override;
  void do_fields(Fields<T>& f) override;
  /// d
  Var<T> sizes(Pass<T>& pass) const;

  Tensor<T> lower_;
  Tensor<T> raw_diagonal_;
  Tensor<T> bias_;
};

extern template class TriangularLinear<float>;
extern template class TriangularLinear<double>;

}  // namespace pushforward
