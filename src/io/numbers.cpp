#include "src/io/numbers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace pushforward::detail {

namespace {

/// The separators of thousands, by the character that stands for them in options.
struct Separator {
  char option;
  std::string_view bytes;
};
constexpr std::array<Separator, 9> kSeparators = {{{',', ","},
                                                   {'.', "."},
                                                   {' ', " "},
                                                   {' ', "\xc2\xa0"},      // no-break space
                                                   {' ', "\xe2\x80\xaf"},  // the same, narrow
                                                   {' ', "\xe2\x80\x89"},  // thin space
                                                   {'\'', "'"},
                                                   {'\'', "\xe2\x80\x99"},  // typographic
                                                   {'_', "_"}}};

// Whether a decimal number that is out of range for double is so because it is small. `text` is well formed.
bool is_tiny(std::string_view text) {
  const std::size_t e = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, e);
  long exponent = 0;
  if (e != std::string_view::npos) {
    const bool negative = text[e + 1] == '-';
    const std::size_t digits = e + 1 + (negative || text[e + 1] == '+' ? 1 : 0);
    const auto result = std::from_chars(text.data() + digits, text.data() + text.size(), exponent);
    if (result.ec != std::errc()) return negative;  // an exponent beyond long decides alone
    if (negative) exponent = -exponent;
  }
  // Position of the first digit that is not zero, relative to the decimal point.
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  const std::size_t first = mantissa.find_first_of("123456789");
  if (first == std::string_view::npos) return true;
  const double magnitude = static_cast<double>(point) - static_cast<double>(first) + static_cast<double>(exponent);
  return magnitude < 0;
}

}  // namespace

const char* parse_number(const char* p, const char* end, double& value) {
  if (p != end && *p == '+') {
    ++p;
    if (p != end && (*p == '-' || *p == '+')) return nullptr;
  }
  const auto [next, error] = std::from_chars(p, end, value);
  if (error == std::errc::result_out_of_range) {
    const bool negative = *p == '-';
    value = is_tiny({p + negative, static_cast<std::size_t>(next - p) - negative}) ? 0.0 : HUGE_VAL;
    if (negative) value = -value;
  } else if (error != std::errc()) {
    return nullptr;
  }
  return next;
}

std::optional<double> as_number(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  if (text.empty() || parse_number(text.data(), end, value) != end) return std::nullopt;
  return value;
}

std::optional<std::string> without_separators(std::string_view text, char separator, char decimal) {
  std::size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  std::string plain(text.substr(0, at));
  const auto digits = [&] {
    const std::size_t begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') plain += text[at++];
    return at - begin;
  };
  if (at < text.size() && text[at] == '0') return std::nullopt;
  if (const std::size_t count = digits(); count < 1 || count > 3) return std::nullopt;
  std::size_t last = 0;
  for (bool found = true; found;) {
    found = false;
    for (const Separator& s : kSeparators) {
      if (s.option != separator || !text.substr(at).starts_with(s.bytes)) continue;
      at += s.bytes.size();
      last = digits();
      if (last < 2 || last > 3) return std::nullopt;
      found = true;
      break;
    }
  }
  if (last != 3) return std::nullopt;
  if (at < text.size()) {
    if (text[at++] != decimal) return std::nullopt;
    plain += '.';
    if (digits() == 0) return std::nullopt;
  }
  return at == text.size() ? std::optional(std::move(plain)) : std::nullopt;
}

std::optional<Grouped> grouped_number(std::string_view text) {
  for (const char separator : {',', '.', ' ', '\'', '_'})
    for (const char decimal : {'.', ','})
      if (separator != decimal)
        if (auto plain = without_separators(text, separator, decimal)) return Grouped{separator, std::move(*plain)};
  return std::nullopt;
}

bool is_missing(std::string_view text) {
  if (text.empty()) return true;
  constexpr std::array<std::string_view, 10> kWords = {"na",  "n/a", "nan", "null", "none",
                                                       "nil", "?",   "-",   "#n/a", "<na>"};
  if (text.size() > 4) return false;
  std::string low(text);
  for (char& c : low)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 'a' - 'A');
  return std::find(kWords.begin(), kWords.end(), low) != kWords.end();
}

}  // namespace pushforward::detail
