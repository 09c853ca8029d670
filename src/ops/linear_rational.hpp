#pragma once

#include <span>

#include <pushforward/ops.hpp>

namespace pushforward::detail {

/// A family of monotone linear-rational splines of [low, high] onto itself: K widths, K heights, K - 1 slopes at the
/// inner knots and K numbers that divide the bins.
struct LinearRationalShape {
  static constexpr Index max_bins = 64;
  static constexpr double largest_slope = 1e18;  ///< slopes at knots are cut off there
  Index bins;
  double low, high;
  double min_width, min_height;  ///< fractions of the interval
  double min_derivative, min_lambda;
  double end_slope;
};

/// The spline of each element of x, or its inverse where `root` says so: element (i, c) by the raw numbers
/// params[k](i, c). Computed in double for both scalars.
template <Scalar T>
MappedElements<T> apply_linear_rational(const LinearRationalShape& shape, bool root, Var<T> x,
                                        std::span<const Var<T>> params);

}  // namespace pushforward::detail
