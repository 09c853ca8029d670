#pragma once

// What the maps onto surfaces and balls share.

#include <cmath>
#include <limits>
#include <type_traits>

#include <pushforward/pass.hpp>

#include "src/ops/common.hpp"
#include "src/ops/repeated.hpp"

namespace pushforward::detail {

/// Marks the rows where `sum` is not 1. NaN stays NaN.
template <Scalar T>
void restrict_to_one(Pass<T>& pass, Column<T> sum) {
  for (Index i = 0; i < pass.tape().local_rows(); ++i)
    if (std::abs(sum.values()[i] - 1) > surface_tolerance<T>) pass.outside()[i] |= 1;
}

/// Marks the rows where `sum` is not 0, beside the sum of sizes.
template <Scalar T>
void restrict_to_zero(Pass<T>& pass, Column<T> sum, Column<T> sizes) {
  for (Index i = 0; i < pass.tape().local_rows(); ++i)
    if (std::abs(sum.values()[i]) > surface_tolerance<T> * (1 + sizes.values()[i])) pass.outside()[i] |= 1;
}

/// What rows of n columns in a ball are multiplied by so that rounding leaves their norm below 1: 1, but where less is
/// left of the norm than a few roundings.
template <Scalar T>
Var<T> just_inside(Var<T> left, Index n) {
  const T least = static_cast<T>(n + 4) * std::numeric_limits<T>::epsilon();
  return T(1) - activation(Activation::relu, least - left);
}

/// The rows of the open simplex; parts of other rows that cannot stay are replaced.
template <Scalar T>
Var<T> restrict_to_simplex(Pass<T>& pass, Var<T> y) {
  const Var<T> inside = pass.restrict_to(y, 0, 1 + surface_tolerance<T>, T(1) / static_cast<T>(y.cols()));
  restrict_to_one(pass, row_sum(inside));
  return inside;
}

}  // namespace pushforward::detail
