#pragma once

#include <cmath>
#include <limits>

#include <pushforward/training/fit.hpp>

namespace pushforward::detail {

/// Of value(i) with weight(i), i < n: the mean and its standard error; NaN where there are too few.
template <class Value, class Weight>
MeanLogLikelihood weighted_mean(Index n, const Value& value, const Weight& weight) {
  double total = 0, sum = 0, square = 0;
  for (Index i = 0; i < n; ++i) {
    total += weight(i);
    sum += weight(i) * value(i);
  }
  MeanLogLikelihood result;
  if (n == 0) return result;
  result.mean = sum / total;
  for (Index i = 0; i < n; ++i) {
    const double d = weight(i) * (value(i) - result.mean);
    square += d * d;
  }
  const double count = static_cast<double>(n);
  if (n > 1) result.standard_error = std::sqrt(square * count / (count - 1)) / total;
  return result;
}

}  // namespace pushforward::detail
