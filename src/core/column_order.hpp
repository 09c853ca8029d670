#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include <pushforward/views.hpp>

namespace pushforward::detail {

/// 0, 1, ..., dim - 1: the order of columns of what is triangular as they stand.
inline std::vector<std::int64_t> standing_order(Index dim) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(dim));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  return order;
}

}  // namespace pushforward::detail
