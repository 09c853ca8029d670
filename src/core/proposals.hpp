#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <pushforward/component.hpp>
#include <pushforward/error.hpp>

namespace pushforward::detail {

/// The listed tensor that a proposal is for, checked before anything changes. `where` starts the error texts.
template <Scalar T>
const Slot<T>& proposed_slot(const char* where, const std::vector<Slot<T>>& slots, const Tensor<T>* tensor,
                             std::span<const double> value) {
  const auto slot = std::find_if(slots.begin(), slots.end(), [&](const Slot<T>& s) { return s.tensor == tensor; });
  if (slot == slots.end()) throw Error(fmt::format("{}: a proposal does not belong to this tree", where));
  if (static_cast<Index>(value.size()) != slot->tensor->size())
    throw Error(fmt::format("{}: a proposal for '{}' has {} values, expected {}", where, slot->path, value.size(),
                            slot->tensor->size()));
  for (std::size_t c = 0; c < value.size(); ++c)
    if (!std::isfinite(static_cast<T>(value[c])))
      throw DomainError(fmt::format("{}: the new value of '{}' is {} in channel {}, which is not finite; nothing has "
                                    "changed", where, slot->path, static_cast<T>(value[c]), c));
  return *slot;
}

}  // namespace pushforward::detail
