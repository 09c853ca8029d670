#pragma once

// Fields of text as numbers.

#include <optional>
#include <string>
#include <string_view>

namespace pushforward::detail {

/// One number at `p`, optional '+' included, correctly rounded; too small for double is 0, too large infinity. Returns the
/// end of it, or null if there is none.
const char* parse_number(const char* p, const char* end, double& value);

/// The whole text as a number.
std::optional<double> as_number(std::string_view text);

/// Has a decimal point or an exponent.
inline bool has_decimals(std::string_view number) { return number.find_first_of(".eE") != std::string_view::npos; }

/// Whether the text means that there is no value.
bool is_missing(std::string_view text);

/// "1234567.5" for "1,234,567.5" or "12,34,567.5"; nothing where no thousands are separated by `separator`.
std::optional<std::string> without_separators(std::string_view text, char separator, char decimal);

/// A number whose thousands are separated, and by what; nothing for other text.
struct Grouped {
  char separator;
  std::string plain;
};
std::optional<Grouped> grouped_number(std::string_view text);

}  // namespace pushforward::detail
