#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include <pushforward/ops.hpp>

namespace pushforward::detail {

/// One column `count` times side by side.
template <Scalar T>
Var<T> repeated(Var<T> column, Index count) {
  auto* zeros = column.tape().template scratch<std::int64_t>(count);
  std::fill_n(zeros, count, std::int64_t{0});
  return gather_columns(column, std::span<const std::int64_t>(zeros, static_cast<std::size_t>(count)));
}

}  // namespace pushforward::detail
