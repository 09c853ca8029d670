#pragma once

// What classes that consist of several parts side by side or one after the other ask of them.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <pushforward/bijector.hpp>
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

/// What draws of all parts say about them together.
/// @throws NotImplemented  as common_estimate.
template <class Base>
Estimate estimate_of_parts(const std::string& name, const std::vector<Poly<Base>>& parts) {
  Estimate estimate = Estimate::exact;
  for (const Poly<Base>& part : parts) estimate = common_estimate(name, estimate, part->estimates());
  return estimate;
}

/// The order of columns of parts side by side, one part after the other; empty where all are in any order.
template <class Base>
std::vector<std::int64_t> order_of_parts(const std::vector<Poly<Base>>& parts) {
  std::vector<std::int64_t> order;
  bool any = false;
  Index begin = 0;
  for (const Poly<Base>& part : parts) {
    const std::vector<std::int64_t> own = part->triangular_order();
    any = any || !own.empty();
    for (Index c = 0; c < part->dim(); ++c)
      order.push_back(begin + (own.empty() ? c : own[static_cast<std::size_t>(c)]));
    begin += part->dim();
  }
  return any ? order : std::vector<std::int64_t>();
}

}  // namespace pushforward::detail
