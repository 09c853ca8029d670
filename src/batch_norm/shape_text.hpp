#pragma once

#include <pushforward/views.hpp>
#include <span>
#include <string>

namespace pushforward::detail {

/// "(3, 4)", "(3,)", "()": as the systems that these messages come from write it.
inline std::string shape_text(std::span<const Index> shape) {
  std::string text(1, '(');
  for (std::size_t i = 0; i < shape.size(); ++i) text.append(i ? ", " : "").append(std::to_string(shape[i]));
  return text.append(shape.size() == 1 ? ",)" : ")");
}

}  // namespace pushforward::detail
