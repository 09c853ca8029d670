#pragma once

#include <cmath>
#include <limits>
#include <string>

#include <pushforward/error.hpp>
#include <pushforward/space.hpp>
#include <pushforward/tensor.hpp>

#include "src/core/number_text.hpp"
#include "src/core/rounded.hpp"

namespace pushforward::detail {

/// The interval of T from low to high to which both ends belong, as an open one.
template <Scalar T>
Interval with_ends(double low, double high) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  return {static_cast<double>(std::nextafter(static_cast<T>(low), -infinity)),
          static_cast<double>(std::nextafter(static_cast<T>(high), infinity))};
}

/// The ends as T has them, so that a part in T and its cast mean the same circle.
template <Scalar T>
void round_period(double& low, double& high) {
  low = rounded<T>(low);
  high = rounded<T>(high);
}

/// @throws DomainError  unless low < high are finite.
template <Scalar T>
void check_period(const std::string& where, double low, double high) {
  if (!(std::isfinite(low) && std::isfinite(high) && static_cast<T>(low) < static_cast<T>(high)))
    throw DomainError(where + ": expected finite low < high, got " + number_text(low) + " and " + number_text(high));
}

}  // namespace pushforward::detail
