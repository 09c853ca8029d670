#include "src/core/checks.hpp"

#include <cmath>

#include <fmt/format.h>

#include <pushforward/error.hpp>

#include "src/core/number_text.hpp"

namespace pushforward::detail {

std::size_t checked_position(const std::string& where, const char* what, std::int64_t i, std::size_t count) {
  if (i < 0 || static_cast<std::uint64_t>(i) >= count)
    throw DomainError(fmt::format("{}: there is no {} {}; there are {}, counted from 0", where, what, i, count));
  return static_cast<std::size_t>(i);
}

void check_positive(const char* where, const char* what, double value) {
  if (!(value > 0) || !std::isfinite(value))
    throw DomainError(fmt::format("{}: {} must be positive and finite, got {:g}", where, what, unsigned_nan(value)));
}

void check_shape_bound(const std::string& where, double bound) {
  if (!(bound > 0 && bound <= 20))
    throw DomainError(fmt::format("{}: bound must lie above 0 and be at most 20, got {:g}", where, unsigned_nan(bound)));
}

void check_bound(const char* where, const char* what, double value) {
  if (!(value > 0))
    throw DomainError(fmt::format("{}: {} must be positive, got {:g}; infinity is no bound", where, what,
                                  unsigned_nan(value)));
}

}  // namespace pushforward::detail
