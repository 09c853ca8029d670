#pragma once

// Numbers in the texts of errors and reports.

#include <cmath>
#include <concepts>
#include <limits>
#include <string>

namespace pushforward::detail {

/// A NaN that arithmetic made has a sign, which would be printed.
template <std::floating_point T>
T unsigned_nan(T value) {
  return std::isnan(value) ? std::numeric_limits<T>::quiet_NaN() : value;
}

/// As many digits as tell the number from its neighbours.
std::string number_text(double value);
std::string number_text(float value);
template <std::integral T>
std::string number_text(T value) {
  return std::to_string(value);
}

}  // namespace pushforward::detail
