#pragma once

// What the maps onto simplex and sphere share.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <type_traits>

#include <pushforward/pass.hpp>

#include "src/ops/common.hpp"

namespace pushforward::detail {

/// Marks the rows where `sum` is not 1. NaN stays NaN.
template <Scalar T>
void restrict_to_one(Pass<T>& pass, Column<T> sum) {
  for (Index i = 0; i < pass.tape().local_rows(); ++i)
    if (std::abs(sum.values()[i] - 1) > surface_tolerance<T>) pass.outside()[i] |= 1;
}

/// The rows of the open simplex; parts of other rows that cannot stay are replaced.
template <Scalar T>
Var<T> restrict_to_simplex(Pass<T>& pass, Var<T> y) {
  const Var<T> inside = pass.restrict_to(y, 0, 1 + surface_tolerance<T>, T(1) / static_cast<T>(y.cols()));
  restrict_to_one(pass, row_sum(inside));
  return inside;
}

/// One column `count` times side by side.
template <Scalar T>
Var<T> repeated(Var<T> column, Index count) {
  auto* zeros = column.tape().template scratch<std::int64_t>(count);
  std::fill_n(zeros, count, std::int64_t{0});
  return gather_columns(column, std::span<const std::int64_t>(zeros, static_cast<std::size_t>(count)));
}

}  // namespace pushforward::detail
