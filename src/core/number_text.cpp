#include "src/core/number_text.hpp"

#include <fmt/format.h>

namespace pushforward::detail {

std::string number_text(double value) { return fmt::format("{}", unsigned_nan(value)); }
std::string number_text(float value) { return fmt::format("{}", unsigned_nan(value)); }

}  // namespace pushforward::detail
