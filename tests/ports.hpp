#pragma once

// What tests of the functional forms of batch normalisation share: shapes, tensors, and a check of backward passes.

#include <algorithm>
#include <cmath>
#include <pushforward/batch_norm/core.hpp>
#include <pushforward/random.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"

namespace port_tests {

using namespace pushforward;
namespace bn = pushforward::batch_norm;

using Shape = std::vector<Index>;
template <Scalar T>
using Tensors = std::vector<Tensor<T>>;

inline std::string text(const Shape& shape) {
  std::string s;
  for (const Index n : shape) s += (s.empty() ? "" : " x ") + std::to_string(n);
  return "(" + s + ")";
}

/// Multiples of 1/64, which both scalars hold. Positive ones are at least 0.5.
inline Tensor<double> numbers(const Shape& shape, std::uint64_t seed, bool positive = false) {
  Tensor<double> t(shape);
  if (t.size() > 0) Engine(seed).next_call().normal(0, t.size(), 1, t.data(), t.size());
  for (double& v : t.values()) v = std::round(64 * (positive ? std::abs(v) + 0.5 : v)) / 64;
  return t;
}

template <Scalar T, Scalar U>
Tensor<T> cast(const Tensor<U>& t) {
  Tensor<T> result(t.shape());
  std::transform(t.data(), t.data() + t.size(), result.data(), [](U v) { return static_cast<T>(v); });
  return result;
}
template <Scalar T, Scalar U>
Tensors<T> cast(const Tensors<U>& ts) {
  Tensors<T> result;
  for (const Tensor<U>& t : ts) result.push_back(cast<T>(t));
  return result;
}

inline void check_close(const Tensor<double>& got, const Tensor<double>& expected, double tolerance) {
  REQUIRE(got.shape() == expected.shape());
  for (Index i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(expected[i]).epsilon(tolerance).margin(tolerance));
}

inline Shape with_ones(const Shape& shape, const std::vector<Index>& axes) {
  Shape result = shape;
  for (const Index axis : axes) result[static_cast<std::size_t>(axis)] = 1;
  return result;
}
inline Shape without(const Shape& shape, const std::vector<Index>& axes) {
  Shape result;
  for (const Index axis : bn::other_axes(axes, static_cast<Index>(shape.size())))
    result.push_back(shape[static_cast<std::size_t>(axis)]);
  return result;
}
/// The index, in row-major order of the kept axes, of element i.
inline std::size_t channel_of(Index i, const Shape& shape, const std::vector<Index>& axes) {
  Index channel = 0, step = 1;
  for (std::size_t a = shape.size(); a-- > 0;) {
    const Index at = i % shape[a];
    i /= shape[a];
    if (std::find(axes.begin(), axes.end(), static_cast<Index>(a)) != axes.end()) continue;
    channel += at * step;
    step *= shape[a];
  }
  return static_cast<std::size_t>(channel);
}

/// A function of tensors with its backward pass: gradients by central differences of a sum of all outputs with random
/// weights; both passes in float against double.
template <class F>
void check_function(const F& f, const Tensors<double>& inputs) {
  const Tensors<double> outputs = f(inputs);
  Tensors<double> weights;
  for (const Tensor<double>& out : outputs) weights.push_back(numbers(out.shape(), 90 + weights.size()));
  const Tensors<double> gradients = f.backward(inputs, weights);
  REQUIRE(gradients.size() == inputs.size());
  const auto loss = [&](const Tensors<double>& at) {
    const Tensors<double> y = f(at);
    double sum = 0;
    for (std::size_t k = 0; k < y.size(); ++k)
      for (Index i = 0; i < y[k].size(); ++i) sum += weights[k][i] * y[k][i];
    return sum;
  };
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    INFO("input " << k);
    REQUIRE(gradients[k].shape() == inputs[k].shape());
    for (Index i = 0; i < inputs[k].size(); ++i) {
      const double h = 1e-5;
      Tensors<double> up = inputs, down = inputs;
      up[k][i] += h;
      down[k][i] -= h;
      CHECK(gradients[k][i] == Approx((loss(up) - loss(down)) / (2 * h)).epsilon(1e-6).margin(1e-6));
    }
  }
  const Tensors<float> narrow = cast<float>(inputs);
  const Tensors<float> float_outputs = f(narrow), float_gradients = f.backward(narrow, cast<float>(weights));
  for (std::size_t k = 0; k < outputs.size(); ++k) check_close(cast<double>(float_outputs[k]), outputs[k], 1e-5);
  for (std::size_t k = 0; k < inputs.size(); ++k) check_close(cast<double>(float_gradients[k]), gradients[k], 1e-5);
}

struct Case {
  Shape shape;
  std::vector<Index> axes;
};
inline const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {{6, 3}, {0}},
      {{5, 2, 3}, {0}},
      {{5, 2, 3}, {0, 2}},
      {{4, 3, 2, 2}, {0, 2, 3}},
      {{3, 2, 2, 3}, {0, 1, 2}},
      {{2, 3, 2, 1, 2}, {0, 3}},
      {{3, 2, 2, 1, 2}, {0, 2, 3, 4}},
      {{4, 3}, {0, 1}},
  };
  return all;
}
inline std::string text(const Case& c) { return text(c.shape) + " over " + text(c.axes); }

}  // namespace port_tests
