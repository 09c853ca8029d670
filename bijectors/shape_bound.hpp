#pragma once

#include <cmath>
#include <string>

#include <pushforward/error.hpp>

#include "src/core/number_text.hpp"

namespace pushforward::detail {

/// Of the logarithm of a shape parameter: beyond 20 the tails of such a map are of no use in double.
inline void check_shape_bound(const char* where, double bound) {
  if (!(bound > 0 && bound <= 20))
    throw DomainError(std::string(where) + ": bound must lie above 0 and be at most 20, got " + number_text(bound));
}

}  // namespace pushforward::detail
