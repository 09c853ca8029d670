#pragma once

#include <limits>

namespace pushforward::detail {

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double pi = 3.14159265358979323846;
inline constexpr double log_pi = 1.14472988584940017414;
inline constexpr double log_2 = 0.69314718055994530942;
inline constexpr double sqrt_half = 0.70710678118654752440;
inline constexpr double log_2_pi = 1.83787706640934548356;

}  // namespace pushforward::detail
