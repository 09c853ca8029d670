#pragma once

#include <cstdint>

#include <pushforward/bijector.hpp>
#include <pushforward/poly.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

/// y = x + Q R tanh(S Q' x + b): `rank` ridges at once where Planar has one, with the inverse that the paper leaves
/// out. Q (dim, rank) has orthonormal columns, the first ones of a product of reflections; R and S (rank, rank) are
/// upper triangular, S with a positive diagonal s = exp(5 tanh(raw_s / 5)), R with the diagonal p / s,
/// p = softplus(raw_p) + floor - 1 above -1.
///
/// log_det = sum_i log(1 + p_i [1 - tanh_i^2])
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  vectors (rank, dim) of the reflections, initially normal numbers of the seed; r and s (rank, rank),
///                  of which the part above the diagonal counts, initially 0; raw_p (rank), initially such that p = 0:
///                  with r = 0 the identity; raw_s (rank) and b (rank), initially 0. Weight decay on r and s alone.
///                  `floor` (0.001), in [0, 1), is a constant.
/// @par Numerics    In `inverse` v = Q' x is found from its last column to its first, each by the root of one
///                  increasing function, z + p tanh(z) (NumericalInverse), with the gradients of the implicit function;
///                  then x = y - Q R tanh(S v + b).
/// @par Cost        O(N (dim rank + rank^2)); `inverse` besides some 10 tanh for each row and column of v.
/// @throws ShapeError   unless 1 <= rank <= dim.
/// @throws DomainError  if floor does not lie in [0, 1).
/// @source van den Berg et al. 2018, eq. 13 and section 4.2 (Householder Sylvester flows), there with bounded diagonals.
template <Scalar T>
class Sylvester final : public Bijector<T> {
 public:
  static constexpr double default_floor = 1e-3;
  Sylvester(Index dim, Index rank, std::uint64_t seed = 0, double floor = default_floor);
  explicit Sylvester(Blank);

 private:
  struct Parts;
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  Index rank_ = 1;
  double floor_ = default_floor;
  Tensor<T> vectors_, r_, s_, raw_p_, raw_s_, b_;
  /// z + p tanh(z), both ways.
  Poly<Transformer<T>> step_;
};

extern template class Sylvester<float>;
extern template class Sylvester<double>;

}  // namespace pushforward
