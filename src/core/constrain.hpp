#pragma once

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <pushforward/error.hpp>
#include <pushforward/tensor.hpp>

#include "src/core/number_text.hpp"

namespace pushforward::detail {

/// project(values), which a user may have written; `whose()` starts the error text.
/// @throws DomainError  if it makes what is not finite of what was: the caller drops the values then.
template <Scalar T, class Project, class Whose>
void constrain(Tensor<T>& values, const Project& project, const Whose& whose) {
  const auto finite = [](T v) { return std::isfinite(v); };
  const bool was_finite = std::all_of(values.data(), values.data() + values.size(), finite);
  project(values);
  const auto all = values.values();
  const auto wrong = std::find_if_not(all.begin(), all.end(), finite);
  if (was_finite && wrong != all.end())
    throw DomainError(fmt::format("{} made {} of value {}, which is not finite; it was not taken, nor was anything that "
                                  "came with it",
                                  whose(), unsigned_nan(*wrong), wrong - all.begin()));
}

}  // namespace pushforward::detail
