#pragma once

#include <span>

#include <pushforward/ops.hpp>

namespace pushforward::detail {

/// A family of increasing splines of [low, high] onto itself whose slope is piecewise constant (degree 1, bins of equal
/// width) or piecewise linear (degree 2). Raw numbers: K sizes; of degree 2 K widths, then slopes at all knots or, where
/// the ends are not free, at the inner ones: there the slope at both ends is 1.
struct PolynomialSplineShape {
  static constexpr Index max_bins = 64;
  Index degree, bins;
  double low, high;
  double min_width;   ///< degree 2: of a bin, as a part of the interval
  double min_height;  ///< degree 1: of a bin's rise, as a part of the interval; 2: of a slope
  bool free_ends;     ///< degree 2

  Index parameters() const { return degree == 1 ? bins : 2 * bins + (free_ends ? 1 : -1); }
};

/// The spline of each element of x, or its inverse where `root` says so.
template <Scalar T>
MappedElements<T> apply_polynomial_spline(const PolynomialSplineShape& shape, bool root, Var<T> x,
                                          std::span<const Var<T>> params);

}  // namespace pushforward::detail
