#pragma once

#include <pushforward/bijectors/rational_quadratic_transformer.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

struct PolynomialSplineOptions {
  /// 1: lines, a density of steps; 2: parabolas, a density of straight lines.
  Index degree = 2;
  Index bins = 10;            ///< 2 to 64
  double low = -3, high = 3;  ///< the interval
  /// identity: the identity beyond the interval, with slope 1 at its ends where degree is 2; bounded: the interval
  /// alone.
  SplineTails tails = SplineTails::identity;
  double min_bin_width = 1e-3;  ///< degree 2: of a bin, as a part of the interval
  /// degree 1: of the rise over a bin, as a part of the interval; what lies in a bin that rises by less than 1e-13 does
  /// not come back to more than its bin. 2: of the slope at a knot.
  double min_bin_height = 1e-3;
};

/// Increasing splines whose slope, the density of one flow layer, is piecewise constant or piecewise linear: what
/// integrators fit to a density of which only values are known. The inverse (data to base) evaluates the spline, and
/// both directions are closed.
///
/// On the unit interval, in the bin of left end (x_k, y_k) and width w_k, with t = (x - x_k) / w_k:
///   degree 1:  w_k = 1 / K, rises p = minimum + (1 - K minimum) softmax(raw):  y = y_k + p_k t
///   degree 2:  w = minimum + (1 - K minimum) softmax(raw), slopes v_k at the knots:
///              y = y_k + w_k [v_k t + (v_(k+1) - v_k) t^2 / 2],  dy/dx = v_k + t (v_(k+1) - v_k)
/// with v = minimum + (1 - minimum) s / A, s = softplus(raw) + 1e-3 and A the area under s. With identity tails both
/// ends have the s that makes their slope 1, [(w_1 s_2 + w_K s_K) / 2 + inner trapezoids] / [1 - (w_1 + w_K) / 2].
///
/// @par Shapes      degree 1: bins numbers; degree 2: bins widths, then bins - 1 (identity) or bins + 1 (bounded) raw
///                  slopes. All 0 is the identity.
/// @par Numerics    computed in double for both scalars. The root of degree 2 is taken in the form without
///                  cancellation. With identity tails and degree 1 the density jumps at the ends, as at every knot.
/// @par Errors      With bounded tails, values outside of [low, high] lie outside the domain.
/// @par Cost        bins exponentials, and for degree 2 as many logarithms, for each value.
/// @throws DomainError  if an option is out of its range.
/// @source Müller et al. 2019 (neural importance sampling), sections 4.2 and 4.3; nflows' `PiecewiseLinearCDF` and
///         `PiecewiseQuadraticCDF`, of which the latter, with tails, has another slope at its ends than 1.
template <Scalar T>
class PolynomialSplineTransformer final : public Transformer<T> {
 public:
  explicit PolynomialSplineTransformer(PolynomialSplineOptions options = {});

  const PolynomialSplineOptions& options() const { return options_; }

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override { return apply(true, pass, x, params); }
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override { return apply(false, pass, y, params); }
  Elements apply(bool root, Pass<T>& pass, Var<T> x, Params params) const;
  double do_log_scale_bound() const override;
  Interval do_domain() const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  PolynomialSplineOptions options_;
};

extern template class PolynomialSplineTransformer<float>;
extern template class PolynomialSplineTransformer<double>;

}  // namespace pushforward
