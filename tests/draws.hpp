#pragma once

// The transforms of random numbers by name, for tests that run on all of them.

#include <pushforward/random.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"

namespace random_tests {

using namespace pushforward;

inline const std::vector<std::string> transforms = {"uniform", "normal", "logistic",
                                                    "laplace", "cauchy", "exponential"};

template <class T>
void fill(const std::string& transform, const RandomCall& call, Index first_row, Index rows, Index cols, T* out,
          Index ld, Index first_column = 0) {
  if (transform == "uniform") return call.uniform(first_row, rows, cols, out, ld, first_column);
  if (transform == "normal") return call.normal(first_row, rows, cols, out, ld, first_column);
  if (transform == "logistic") return call.logistic(first_row, rows, cols, out, ld, first_column);
  if (transform == "laplace") return call.laplace(first_row, rows, cols, out, ld, first_column);
  if (transform == "cauchy") return call.cauchy(first_row, rows, cols, out, ld, first_column);
  if (transform == "exponential") return call.exponential(first_row, rows, cols, out, ld, first_column);
  FAIL("no transform " << transform);
}

template <class T>
std::vector<T> draw(const std::string& transform, const RandomCall& call, Index rows, Index cols, Index first_row = 0,
                    Index first_column = 0) {
  std::vector<T> out(static_cast<std::size_t>(rows * cols));
  fill(transform, call, first_row, rows, cols, out.data(), rows, first_column);
  return out;
}

}  // namespace random_tests
