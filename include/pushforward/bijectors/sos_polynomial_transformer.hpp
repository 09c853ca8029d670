#pragma once

#include <limits>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// The integral of a sum of squares of polynomials: x = shift + integral from 0 to y of g,
///   g(t) = slope + mean over p of (1 + sum_i a_pi (t / scale)^i)^2,  i from 0 to degree,
/// an increasing polynomial of degree 2 degree + 1.
///
/// The way from y to x is closed; the other one is NumericalInverse's. log derivative of it: log g(y).
///
/// Parameters, polynomials (degree + 1) + 1: the coefficients a_pi, those of one polynomial after the other, then the
/// shift. All 0 is x = (1 + slope) y.
///
/// @par Numerics  the integral in closed form, by Horner's rule. Beyond `scale` its terms grow as powers of t / scale:
///                keep the columns inside.
/// @throws ShapeError   if degree or polynomials < 1.
/// @throws DomainError  unless scale and slope are positive and finite.
/// @source Jaini et al. 2019, eq. 6 and 7; zuko's `SOSPolynomialTransform(a, slope, bound)`, whose bound is the scale,
///         with the same a.
template <Scalar T>
class SosPolynomialTransformer final : public Transformer<T> {
 public:
  explicit SosPolynomialTransformer(Index degree = 4, Index polynomials = 3, double scale = 11, double slope = 1e-3);

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override;
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  Index degree_, polynomials_;
  double scale_, slope_;
};

extern template class SosPolynomialTransformer<float>;
extern template class SosPolynomialTransformer<double>;

}  // namespace pushforward
