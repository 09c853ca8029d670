#pragma once

#include <cstdint>
#include <span>

#include <pushforward/random.hpp>

namespace pushforward::detail {

/// Blocks whose rows are mixed with each other, at least, where there are so many.
inline constexpr Index blocks_of_a_window = 4096;

/// A random order of 0 ... out.size() - 1 in which the numbers of a window, some thousand blocks of `block` numbers in a
/// row, come together: see FitOptions::shuffle_block. `of` names the order: two calls with the same one give the same.
void shuffle_blocks(const Engine& of, Index block, std::span<std::int64_t> out);

}  // namespace pushforward::detail
