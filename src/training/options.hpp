#pragma once

// What `FitOptions` says, checked and written down.

#include <string>

#include <pushforward/training/fit.hpp>

#include "src/training/checkpoint.hpp"

namespace pushforward::detail {

/// @throws DomainError  if an option is out of range, naming it; `where` starts the text.
template <Scalar T>
void check_options(const std::string& where, const FitOptions<T>& options);

/// What must be the same for a run to be continued, of options that all kinds of runs have.
template <Scalar T>
Fingerprint fingerprint_of(const Distribution<T>& flow, const FitOptions<T>& options);

}  // namespace pushforward::detail
