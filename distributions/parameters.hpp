#pragma once

// Learned tensors of a distribution: made from checked values, and read in double.

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <pushforward/tensor.hpp>

#include "distributions/checks.hpp"
#include "src/numerics/special_functions.hpp"

namespace pushforward::detail {

/// Values that must be finite.
template <class T>
Tensor<T> finite_tensor(const std::string& name, const char* what, VectorView<const T> values) {
  check_finite(name, what, values);
  Tensor<T> result({values.size()});
  for (Index i = 0; i < values.size(); ++i) result[i] = values[i];
  return result;
}

/// Logarithms of values that must be positive.
template <class T>
Tensor<T> log_tensor(const std::string& name, const char* what, VectorView<const T> values) {
  check_positive(name, what, values);
  Tensor<T> result({values.size()});
  for (Index i = 0; i < values.size(); ++i) result[i] = static_cast<T>(std::log(static_cast<double>(values[i])));
  return result;
}

template <class T>
bool is_zero(const Tensor<T>& tensor) {
  return std::all_of(tensor.values().begin(), tensor.values().end(), [](T v) { return v == T(0); });
}

/// out(i, c) = f(in(i, c)) with f = make(c): what depends on the column alone is computed once for each.
template <class T, class Make>
void by_columns(MatrixView<const T> in, MatrixView<double> out, Make make) {
  for (Index c = 0; c < in.cols(); ++c) {
    const auto f = make(c);
    for (Index i = 0; i < in.rows(); ++i) out(i, c) = f(static_cast<double>(in(i, c)));
  }
}

/// What is asked for, where both probabilities are known: p = P(Y <= y), q = P(Y > y).
template <class Tail>
double tail_of(Tail tail, double p, double q) {
  switch (tail) {
    case Tail::cdf:
      return p;
    case Tail::survival:
      return q;
    case Tail::log_cdf:
      return log_probability(p, q);
    case Tail::log_survival:
      return log_probability(q, p);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

template <class T>
double at(const Tensor<T>& tensor, Index i) {
  return static_cast<double>(tensor[i]);
}
template <class T>
double exp_at(const Tensor<T>& tensor, Index i) {
  return std::exp(at(tensor, i));
}

}  // namespace pushforward::detail
