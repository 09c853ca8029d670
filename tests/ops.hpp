#pragma once

// What tests of differentiable operations share: numbers, an operation's values, and a check of its gradients.

#include <algorithm>
#include <cmath>
#include <pushforward/ops.hpp>
#include <pushforward/random.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "src/core/evaluate.hpp"

namespace ops_tests {

using namespace pushforward;
using namespace pushforward::testing;
using pushforward::detail::load;

inline Matrix<double> numbers(Index rows, Index cols, std::uint64_t seed, bool positive = false) {
  Matrix<double> m(rows, cols);
  if (m.size() > 0) Engine(seed).next_call().normal(0, rows, cols, m.data(), rows);
  return positive ? Matrix<double>(m.array().abs() + 0.3) : m;
}
inline Tensor<double> tensor(std::vector<Index> shape, std::uint64_t seed, bool positive = false) {
  Tensor<double> t(std::move(shape));
  const Matrix<double> m = numbers(t.size(), 1, seed, positive);
  std::copy_n(m.data(), t.size(), t.data());
  return t;
}
template <class T>
Tensor<T> cast_tensor(const Tensor<double>& from) {
  Tensor<T> t(from.shape());
  std::transform(from.values().begin(), from.values().end(), t.data(), [](double v) { return static_cast<T>(v); });
  return t;
}

/// Values of a matrix that an operation makes from the columns of x; a shared result as it is stored, by rows.
template <class T, class F>
Matrix<double> values(const Matrix<double>& x, const F& f) {
  Workspace memory;
  Tape<T> tape(Tape<T>::Mode::evaluate, {memory.batch, memory.local}, x.rows());
  const Matrix<T> in = x.cast<T>();
  const Var<T> y = f(tape, load<T>(tape, in, false));
  Matrix<double> out(y.is_shared() ? y.node()->rows : x.rows(), y.cols());
  for (Index i = 0; i < out.rows(); ++i)
    for (Index c = 0; c < out.cols(); ++c)
      out(i, c) = static_cast<double>(y.is_shared() ? y.values()[i * y.cols() + c] : y.values(c)[i]);
  return out;
}
template <class F>
Eigen::VectorXd column_values(const Matrix<double>& x, const F& f) {
  Workspace memory;
  Tape<double> tape(Tape<double>::Mode::evaluate, {memory.batch, memory.local}, x.rows());
  const Column<double> c = f(tape, load<double>(tape, x, false));
  Eigen::VectorXd out = Eigen::VectorXd::Zero(x.rows());
  if (!c.is_zero()) std::copy_n(c.values(), x.rows(), out.data());
  return out;
}

inline void check_close(const Matrix<double>& got, const Matrix<double>& expected, double tolerance) {
  REQUIRE(got.rows() == expected.rows());
  REQUIRE(got.cols() == expected.cols());
  for (Index i = 0; i < got.rows(); ++i)
    for (Index c = 0; c < got.cols(); ++c) {
      INFO("row " << i << ", column " << c << ": " << got(i, c) << " and " << expected(i, c));
      CHECK(std::abs(got(i, c) - expected(i, c)) <= tolerance * (1 + std::abs(expected(i, c))));
    }
}

inline void check_gradients(const RowFunction& f, const Matrix<double>& x, const std::vector<NamedTensor>& parameters,
                     GradientCheck options = {}) {
  std::vector<double> largest;
  const std::vector<Failure> failures = check_gradient(f, x, {}, parameters, options, &largest);
  INFO(report(failures));
  CHECK(failures.empty());
  for (const double g : largest) CHECK(g > 0);
}

/// The whole batch, gamma = exp(log_gamma).
template <Scalar T>
NormalizedBatch<T> normalize_batch(Var<T> y, Var<T> log_gamma, std::type_identity_t<Var<T>> beta, double epsilon) {
  const BatchGroups<T> groups;
  NormalizedBatch<T> r =
      batch_normalize(y, groups, batch_moments(y, groups), log_gamma ? exp(log_gamma) : Var<T>(), beta, epsilon);
  if (log_gamma) r.log_det = r.log_det + row_sum(log_gamma);
  return r;
}

}  // namespace ops_tests
