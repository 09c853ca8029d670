#pragma once

#include <limits>
#include <vector>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// An increasing polynomial in Bernstein's form: with u = (y + bound) / (2 bound) in [0, 1] and M = degree + 2,
///   x = sum_i theta_i C(M, i) u^i (1 - u)^(M - i),
/// theta_0 = raw_0 - log(2) (degree + 1) / 2, then steps d_1, d_1, d_2, ..., d_degree, d_degree, d_i = softplus(raw_i),
/// of which the first and the last stand twice: the second derivative vanishes at the ends, where straight lines go on.
///
/// The way from y to x is closed; the other one is NumericalInverse's.
/// log derivative of it: log of M / (2 bound) sum_i (theta_(i+1) - theta_i) C(M - 1, i) u^i (1 - u)^(M - 1 - i).
///
/// Parameters: raw_0 ... raw_degree, `degree` + 1. All 0 is a straight line of slope log(2) M / (2 bound), that through
/// 0 but for log(2) / 2.
///
/// @par Numerics  sums of positive terms: nothing cancels in the derivative.
/// @throws ShapeError   unless 2 <= degree <= 256.
/// @throws DomainError  unless bound is positive and finite.
/// @source Sick et al. 2021, eq. 6; zuko's `BernsteinTransform(theta, bound)` with degree + 1 values of theta.
template <Scalar T>
class BernsteinTransformer final : public Transformer<T> {
 public:
  explicit BernsteinTransformer(Index degree = 16, double bound = 5);

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override;
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  Index degree_;
  double bound_;
};

extern template class BernsteinTransformer<float>;
extern template class BernsteinTransformer<double>;

}  // namespace pushforward
