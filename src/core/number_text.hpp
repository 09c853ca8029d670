#pragma once

// Numbers in the texts of errors and reports.

#include <cmath>
#include <concepts>
#include <limits>
#include <string>

#include <fmt/format.h>

namespace pushforward::detail {

/// A NaN that arithmetic made has a sign, which would be printed.
template <std::floating_point T>
T unsigned_nan(T value) {
  return std::isnan(value) ? std::numeric_limits<T>::quiet_NaN() : value;
}

/// As many digits as tell the number from its neighbours.
template <class T>
  requires std::integral<T> || std::floating_point<T>
std::string number_text(T value) {
  if constexpr (std::floating_point<T>) value = unsigned_nan(value);
  return fmt::format("{}", value);
}

}  // namespace pushforward::detail
