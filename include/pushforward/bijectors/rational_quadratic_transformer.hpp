#pragma once

#include <limits>
#include <pushforward/transformer.hpp>

namespace pushforward {

/// What a spline does at the ends of its interval.
enum class SplineTails {
  identity,  ///< the identity beyond them; slope `end_slope` at them
  circular,  ///< angles: the interval alone, with one slope at both ends
  bounded,   ///< the interval alone, with a slope of its own at each end
  free,      ///< the identity beyond them, with a slope of its own at each end: there the density jumps
  linear,    ///< straight lines beyond them, each with the slope of its end
};

/// How a spline's shape comes from raw parameters.
enum class SplineParameters {
  /// sizes = minimum + (1 - bins minimum) softmax(scale raw), slopes = minimum + softplus(raw)
  nflows,
  /// with c(r) = r / (1 + |r / log(slope)|): sizes = softmax(c(2 raw) / 2), slopes = exp(c(raw)); raw 0 is the identity
  zuko,
};

struct RationalQuadraticOptions {
  Index bins = 8;             ///< 2 to 64
  double low = -3, high = 3;  ///< the interval
  SplineTails tails = SplineTails::identity;
  SplineParameters parameters = SplineParameters::nflows;
  // nflows: floors of a bin's width and height, as parts of the interval, and of the slope at a knot.
  double min_bin_width = 1e-3, min_bin_height = 1e-3, min_derivative = 1e-3;
  double max_derivative = std::numeric_limits<double>::infinity();  ///< nflows: slopes at knots are cut off there
  double raw_scale = 1;  ///< nflows: of raw widths and heights; the paper has 1 / sqrt(hidden units)
  double slope = 1e-3;   ///< zuko: smallest slope at a knot, smallest ratio of sizes; in (0, 1)
  /// Of identity tails, within the range of the other slopes: where it is not 1 (pyro has 1 - min_derivative) the
  /// density jumps at the ends.
  double end_slope = 1;
};

/// Monotone rational-quadratic splines: the inverse (data to base) evaluates the spline, forward solves for the root.
///
/// In a bin from (x_k, y_k), of width w, height h and mean slope s = h / w, with t = (x - x_k) / w and slopes d0, d1 at
/// its knots:
///
///     y = y_k + h [s t^2 + d0 t (1 - t)] / [s + (d0 + d1 - 2 s) t (1 - t)]
///     dy/dx = s^2 [d1 t^2 + 2 s t (1 - t) + d0 (1 - t)^2] / [s + (d0 + d1 - 2 s) t (1 - t)]^2
///
/// @par Shapes      in this order: bins widths, bins heights, and the slopes at the bins - 1 inner knots (identity
///                  tails), at the first bins knots (circular) or at all bins + 1 (others).
/// @par Numerics    x is moved into the interval before any arithmetic, and the root is taken in the form without
///                  cancellation. Values never leave their bin, so the map increases across knots; tails are the
///                  identity exactly, and their gradients too. With slopes of knots in [m, M] and of bins in [s0, s1]
///                  the slope lies in [s0^2 min(m, s0) / max(M, s0)^2, 4 max(M, s1)], which log_scale_bound() gives: a
///                  small slope magnifies rounding on the way back, by 1 / slope. The floors, max_derivative and
///                  `slope` set it. Slopes at knots above 1e18 are cut off.
/// @par Errors      With circular and bounded tails, values outside (low, high) (circular: [low, high]) lie outside the domain.
/// @par Cost        2 bins exponentials, a logarithm and some 10 bins operations for each value.
/// @throws DomainError  if an option is out of its range; so is a width too small for the precision of T.
/// @source Durkan et al. 2019 (neural spline flows), eq. 4-8; the parametrisations of nflows 0.14 and zuko 1.
template <Scalar T>
class RationalQuadraticTransformer final : public Transformer<T> {
 public:
  explicit RationalQuadraticTransformer(RationalQuadraticOptions options = {});

  const RationalQuadraticOptions& options() const { return options_; }

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>> params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>> params) const override;
  double do_log_scale_bound() const override;
  Interval do_domain() const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  RationalQuadraticOptions options_;
};

extern template class RationalQuadraticTransformer<float>;
extern template class RationalQuadraticTransformer<double>;

}  // namespace pushforward
