#include "src/io/numbers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <utility>

#ifndef __cpp_lib_to_chars
#include <cerrno>
#include <clocale>
#include <cstdlib>
#if __has_include(<xlocale.h>)
#include <xlocale.h>
#endif
#endif

namespace pushforward::detail {

namespace {

#ifdef __cpp_lib_to_chars
std::from_chars_result read_double(const char* p, const char* end, double& value) {
  return std::from_chars(p, end, value);
}
#else
/// std::from_chars for the standard libraries that have none for double (libc++ before 20): the same texts, which strtod
/// in the C locale reads.
std::from_chars_result read_double(const char* p, const char* end, double& value) {
  const auto digits = [&](const char* at) {
    while (at != end && *at >= '0' && *at <= '9') ++at;
    return at;
  };
  const auto starts = [&](const char* at, std::string_view word) {
    for (const char c : word)
      if (at == end || (*at++ | 0x20) != c) return false;
    return true;
  };
  const char* const begin = p != end && *p == '-' ? p + 1 : p;
  const char* next = begin;
  if (starts(begin, "infinity")) {
    next = begin + 8;
  } else if (starts(begin, "inf") || starts(begin, "nan")) {
    next = begin + 3;
  } else {
    next = digits(begin);
    std::ptrdiff_t count = next - begin;
    if (next != end && *next == '.') {
      const char* const fraction = digits(next + 1);
      count += fraction - next - 1;
      next = fraction;
    }
    if (count == 0) return {p, std::errc::invalid_argument};
    if (next != end && (*next | 0x20) == 'e') {
      const char* const exponent = next + 1 != end && (next[1] == '-' || next[1] == '+') ? next + 2 : next + 1;
      if (const char* const after = digits(exponent); after != exponent) next = after;
    }
  }
  static const locale_t c_locale = newlocale(LC_ALL_MASK, "C", nullptr);
  errno = 0;
  const double read = strtod_l(std::string(p, next).c_str(), nullptr, c_locale);
  if (errno == ERANGE && (read == 0 || std::isinf(read))) return {next, std::errc::result_out_of_range};
  value = read;
  return {next, std::errc()};
}
#endif

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
  const auto [next, error] = read_double(p, end, value);
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
