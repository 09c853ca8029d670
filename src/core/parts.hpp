#pragma once

// What classes that consist of several parts side by side or one after the other ask of them.

#include <algorithm>
#include <string>
#include <vector>

#include <pushforward/error.hpp>
#include <pushforward/poly.hpp>
#include <pushforward/views.hpp>

namespace pushforward::detail {

/// "Chain(Exp, Shift)"
template <class Base>
std::string name_of_parts(const char* name, const std::vector<Poly<Base>>& parts) {
  std::string text = std::string(name) + "(";
  for (std::size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : ", ") + parts[i]->name();
  return text + ")";
}

/// Columns of context of parts that take none or the same number.
/// @throws ShapeError  naming the first that takes another number.
template <class Base>
Index common_context_dim(const char* name, const char* part, const std::vector<Poly<Base>>& parts) {
  Index context = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Index own = parts[i]->context_dim();
    if (own != 0 && context != 0 && own != context)
      throw ShapeError(std::string(name) + ": " + part + " " + std::to_string(i) + " (" + parts[i]->name() +
                       ") takes " + std::to_string(own) + " context columns but an earlier one takes " +
                       std::to_string(context));
    context = std::max(context, own);
  }
  return context;
}

template <class Base, class Predicate>
bool all_parts(const std::vector<Poly<Base>>& parts, Predicate predicate) {
  return std::all_of(parts.begin(), parts.end(), [&](const Poly<Base>& p) { return predicate(*p); });
}

}  // namespace pushforward::detail
