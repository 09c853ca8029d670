#pragma once

#include <cstddef>
#include <string_view>

namespace pushforward::detail {

/// Of what is read and written at once.
inline constexpr std::size_t kBufferSize = std::size_t{1} << 20;

inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

inline std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace pushforward::detail
