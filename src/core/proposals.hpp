#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <pushforward/component.hpp>
#include <pushforward/error.hpp>
#include <pushforward/pass.hpp>

#include "src/core/number_text.hpp"

namespace pushforward::detail {

/// The listed tensor that a proposal is for, checked before anything changes. `where` starts the error texts.
template <Scalar T>
const Slot<T>& proposed_slot(const std::string& where, const std::vector<Slot<T>>& slots, const Tensor<T>* tensor,
                             std::span<const double> value) {
  const auto slot = std::find_if(slots.begin(), slots.end(), [&](const Slot<T>& s) { return s.tensor == tensor; });
  if (slot == slots.end()) throw Error(fmt::format("{}: a proposal does not belong to this tree", where));
  if (static_cast<Index>(value.size()) != slot->tensor->size())
    throw Error(fmt::format("{}: a proposal for '{}' has {} values, expected {}", where, slot->path, value.size(),
                            slot->tensor->size()));
  for (std::size_t c = 0; c < value.size(); ++c)
    if (!std::isfinite(static_cast<T>(value[c])))
      throw DomainError(fmt::format("{}: the new value of '{}' is {} in channel {}, which is not finite; it was not "
                                    "taken, nor was anything that came with it",
                                    where, slot->path, unsigned_nan(static_cast<T>(value[c])), c));
  return *slot;
}

/// Puts all of them in, or none; `where` is the call that the user made.
template <Scalar T>
void commit_as(const std::string& where, Component<T>& tree, const Proposals<T>& proposals) {
  const std::vector<Slot<T>> slots = list_state(tree);
  std::vector<Tensor<T>*> targets;
  for (const auto& [tensor, value] : proposals.values)
    targets.push_back(proposed_slot<T>(where, slots, tensor, value).tensor);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const std::vector<double>& value = proposals.values[i].second;
    std::transform(value.begin(), value.end(), targets[i]->data(), [](double v) { return static_cast<T>(v); });
  }
}

}  // namespace pushforward::detail
