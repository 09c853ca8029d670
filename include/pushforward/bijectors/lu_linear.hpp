#pragma once

#include <vector>

#include <pushforward/bijector.hpp>

namespace pushforward {

/// Linear map in factored form, y = L U x + bias for each row x as a column vector.
///
/// L is unit lower triangular; U is upper triangular with the diagonal d = softplus(raw_diagonal) + floor, times the
/// signs where some are given.
///
/// log_det = sum_d log d_d
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  lower (dim, dim), of which only the part strictly below the diagonal is read, and upper (dim, dim),
///                  only strictly above: initially 0; raw_diagonal (dim), unconstrained, initially such that d = 1;
///                  bias (dim), initially 0. So it starts as the identity. Weight decay on lower and upper alone.
/// @par Numerics    Exact log_det; `inverse` is two triangular solves, no matrix is inverted. d >= floor keeps
///                  the map away from singularity, but the condition of L and U themselves is not bounded: in float
///                  the round trip loses what the condition number of L U says.
/// @par Cost        O(N dim^2) in both directions.
/// @throws ShapeError   if dim < 1, or there are signs but not dim of them.
/// @throws DomainError  if the floor does not lie in [0, 1), or a sign is neither 1 nor -1.
/// @source Kingma and Dhariwal 2018, eq. 10 and 11, where the signs are a constant too; their permutation is a Permute
///         after it. The diagonal by softplus as in Durkan et al. 2019 (neural spline flows).
template <Scalar T>
class LULinear final : public Bijector<T> {
 public:
  static constexpr double diagonal_floor = 1e-3;

  /// The identity; with `signs`, 1 or -1 for each column, that with these signs. A floor of 0 lets d fall to the
  /// smallest numbers.
  explicit LULinear(Index dim, double floor = diagonal_floor, std::vector<std::int64_t> signs = {});

  /// L U, (dim, dim).
  Tensor<T> matrix() const;
  const Tensor<T>& bias() const { return bias_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  /// d, positive, and with its signs.
  Var<T> sizes(Pass<T>& pass) const;
  Var<T> with_signs(Pass<T>& pass, Var<T> sizes) const;

  double floor_ = diagonal_floor;
  std::vector<std::int64_t> signs_;
  Tensor<T> sign_values_;
  Tensor<T> lower_;
  Tensor<T> upper_;
  Tensor<T> raw_diagonal_;
  Tensor<T> bias_;
};

extern template class LULinear<float>;
extern template class LULinear<double>;

}  // namespace pushforward
