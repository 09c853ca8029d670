#pragma once

#include <cstdint>

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = D x + k U V x + bias for each row x as a column vector: a positive diagonal d = softplus(raw_diagonal) + floor
/// and a product of two narrow matrices, U (dim, rank) and V (rank, dim). With M = V D^-1 U the factor
/// k = 0.95 / sqrt(1 + |M|^2), |M| its Frobenius norm, keeps every singular value of I + k M above 0.05: the map is
/// invertible whatever U and V are.
///
/// log_det = sum_i log d_i + log det(I + k M)
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  raw_diagonal (dim), initially such that d = 1; u (rank, dim), the transpose of U, initially 0: the
///                  identity; v (rank, dim), initially normal numbers of the seed with variance 1 / dim; bias (dim),
///                  initially 0. Weight decay on u and v.
/// @par Numerics    `inverse` by Woodbury's formula; the determinant by that of a (rank, rank) matrix, in double.
/// @par Cost        O(N dim rank + dim rank^2 + rank^3).
/// @throws ShapeError  unless 1 <= rank <= dim.
/// @source The matrix determinant lemma and Woodbury's formula: Harville 1997, theorems 18.1.1 and 18.2.8; TFP's
///         `LinearOperatorLowRankUpdate`, distrax' `DiagPlusLowRankLinear`, both without a bound.
template <Scalar T>
class LowRankLinear final : public Bijector<T> {
 public:
  static constexpr double diagonal_floor = 1e-3;
  LowRankLinear(Index dim, Index rank, std::uint64_t seed = 0);
  explicit LowRankLinear(Blank) : Bijector<T>("LowRankLinear") {}

  const Tensor<T>& u() const { return u_; }
  const Tensor<T>& v() const { return v_; }

 private:
  struct Parts;
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  void do_fields(Fields<T>& f) override;

  Index rank_ = 1;
  Tensor<T> raw_diagonal_, u_, v_, bias_;
};

extern template class LowRankLinear<float>;
extern template class LowRankLinear<double>;

}  // namespace pushforward
