#include "src/training/shuffle.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace pushforward::detail {

void shuffle_blocks(const Engine& of, Index block, std::span<std::int64_t> out) {
  const auto n = static_cast<Index>(out.size()), blocks = (n + block - 1) / block;
  std::vector<std::int64_t> order = permutation(of.stream("blocks").next_call(), blocks);
  // Windows of one size, so that none is small.
  const Index windows = std::max<Index>(blocks / blocks_of_a_window, 1);
  Engine within = of.stream("rows");
  std::vector<std::int64_t> rows, mixed;
  std::size_t at = 0;
  for (Index w = 0; w < windows; ++w) {
    rows.clear();
    for (Index b = w * blocks / windows; b < (w + 1) * blocks / windows; ++b) {
      const std::int64_t first = order[static_cast<std::size_t>(b)] * block;
      for (std::int64_t row = first; row < std::min<std::int64_t>(first + block, n); ++row) rows.push_back(row);
    }
    mixed.resize(rows.size());
    permutation(within.next_call(), mixed);
    for (const std::int64_t position : mixed) out[at++] = rows[static_cast<std::size_t>(position)];
  }
}

}  // namespace pushforward::detail
