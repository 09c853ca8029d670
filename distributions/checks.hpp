#pragma once

// Checks of what a distribution is made from and asked for.

#include <cmath>
#include <string>

#include <pushforward/error.hpp>
#include <pushforward/pass.hpp>

#include "src/core/number_text.hpp"

namespace pushforward::detail {

inline void check_sizes(const std::string& name, const char* a, Index a_size, const char* b, Index b_size) {
  if (a_size != b_size)
    throw ShapeError(name + ": " + a + " has " + std::to_string(a_size) + " values but " + b + " has " +
                     std::to_string(b_size));
}

template <class T>
void check_finite(const std::string& name, const char* what, VectorView<const T> values) {
  for (Index i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw DomainError(name + ": " + what + " must be finite, got " + detail::number_text(values[i]) + " at index " +
                        std::to_string(i));
}

template <class T>
void check_positive(const std::string& name, const char* what, VectorView<const T> values) {
  for (Index i = 0; i < values.size(); ++i)
    if (!(values[i] > 0) || !std::isfinite(values[i]))
      throw DomainError(name + ": " + what + " must be positive and finite, got " + detail::number_text(values[i]) +
                        " at index " + std::to_string(i));
}

/// Draws that do not follow the parameters cannot be part of a recorded loss.
template <Scalar T>
void check_not_recording(const Pass<T>& pass, const std::string& name) {
  if (pass.recording())
    throw NotImplemented(name + "::sample: samples are not differentiable in the parameters, so none can be recorded");
}

}  // namespace pushforward::detail
