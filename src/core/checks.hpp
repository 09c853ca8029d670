#pragma once

// Checks of constants that several classes have.

#include <cmath>
#include <limits>
#include <string>

#include <fmt/format.h>

#include <pushforward/error.hpp>

namespace pushforward::detail {

/// For texts: a NaN that arithmetic made has a sign, which would be printed.
inline double unsigned_nan(double value) {
  return std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;
}

inline void check_positive(const char* where, const char* what, double value) {
  if (!(value > 0) || !std::isfinite(value))
    throw DomainError(fmt::format("{}: {} must be positive and finite, got {:g}", where, what, value));
}

/// Infinity stands for no bound.
inline void check_bound(const char* where, const char* what, double value) {
  if (!(value > 0))
    throw DomainError(fmt::format("{}: {} must be positive, got {:g}; infinity is no bound", where, what, value));
}

}  // namespace pushforward::detail
