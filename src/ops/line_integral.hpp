#pragma once

#include <span>

#include <pushforward/ops.hpp>

namespace pushforward::detail {

/// `bins` of equal width on [low, high], an even number.
struct LineIntegralShape {
  static constexpr Index max_bins = 256;
  Index bins;
  double low, high;
};

/// The integral from the middle of the interval to each element of x of the function that is exp(params[k]) at knot k,
/// straight between the knots and the same beyond the ends as at them; or its inverse where `root` says so.
template <Scalar T>
MappedElements<T> apply_line_integral(const LineIntegralShape& shape, bool root, Var<T> x,
                                      std::span<const Var<T>> params);

}  // namespace pushforward::detail
