#pragma once

#include <cstddef>
#include <initializer_list>
#include <pushforward/views.hpp>
#include <span>
#include <string>

namespace pushforward::detail {

/// A shape as NumPy writes it: "(3, 4)", "(3,)", "()"; cut after eight extents, for a file may claim thousands.
inline std::string shape_text(std::span<const Index> shape) {
  constexpr std::size_t kMost = 8;
  std::string text(1, '(');
  for (std::size_t i = 0; i < shape.size() && i < kMost; ++i)
    text.append(i ? ", " : "").append(std::to_string(shape[i]));
  if (shape.size() > kMost) text.append(", ...");
  return text.append(shape.size() == 1 ? ",)" : ")");
}
inline std::string shape_text(std::initializer_list<Index> shape) {
  return shape_text(std::span<const Index>(shape.begin(), shape.size()));
}

}  // namespace pushforward::detail
