#pragma once

#include <cmath>
#include <concepts>
#include <limits>
#include <string>

#include <fmt/format.h>

namespace pushforward::detail {

/// A number in an error text: as many digits as tell it from its neighbours, and NaN without a sign.
template <class T>
  requires std::integral<T> || std::floating_point<T>
std::string number_text(T value) {
  if constexpr (std::floating_point<T>)
    if (std::isnan(value)) value = std::numeric_limits<T>::quiet_NaN();
  return fmt::format("{}", value);
}

}  // namespace pushforward::detail
