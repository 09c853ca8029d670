#pragma once

// Checks of constants that several classes have.

#include <cstddef>
#include <cstdint>
#include <string>

namespace pushforward::detail {

/// The number of a part of `where`, in words `what`, of `count` that there are.
std::size_t checked_position(const std::string& where, const char* what, std::int64_t i, std::size_t count);

void check_positive(const char* where, const char* what, double value);

/// Of the logarithm of a shape: beyond 20 the tails of a map are of no use in double.
void check_shape_bound(const std::string& where, double bound);

/// Infinity stands for no bound.
void check_bound(const char* where, const char* what, double value);

}  // namespace pushforward::detail
