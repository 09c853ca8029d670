#pragma once

// What tests of bijectors share: oracles, tensors by path, a recorded pass with its gradients, and rounding errors.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <pushforward/bijector.hpp>
#include <pushforward/component.hpp>
#include <pushforward/error.hpp>
#include <pushforward/execution.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "src/core/evaluate.hpp"

namespace bijector_tests {

using namespace pushforward;

inline nlohmann::json oracle(const std::string& name) {
  std::ifstream in(std::string(PUSHFORWARD_TEST_DATA) + "/oracles/" + name + ".json");
  REQUIRE(in.good());
  return nlohmann::json::parse(in);
}

inline Matrix<double> matrix(const nlohmann::json& rows) {
  Matrix<double> m(static_cast<Index>(rows.size()), static_cast<Index>(rows.at(0).size()));
  for (Index i = 0; i < m.rows(); ++i)
    for (Index j = 0; j < m.cols(); ++j) m(i, j) = rows.at(static_cast<std::size_t>(i)).at(static_cast<std::size_t>(j));
  return m;
}

inline std::vector<double> numbers(const nlohmann::json& values) { return values.get<std::vector<double>>(); }

template <class A, class B>
void check_close(const A& a, const B& b, double tolerance) {
  REQUIRE(static_cast<Index>(a.size()) == static_cast<Index>(b.size()));
  for (Index i = 0; i < static_cast<Index>(a.size()); ++i) {
    INFO("element " << i << ": " << a.data()[i] << " and " << b.data()[i]);
    CHECK(std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])) <=
          tolerance * (1 + std::abs(static_cast<double>(b.data()[i]))));
  }
}

template <Scalar T>
Tensor<T>& tensor(Component<T>& component, const std::string& path) {
  for (const Slot<T>& slot : list_state(component))
    if (slot.path == path) return *slot.tensor;
  throw Error("no tensor " + path);
}

template <Scalar T, class Values>
void set(Component<T>& component, const std::string& path, const Values& values) {
  Tensor<T>& t = tensor(component, path);
  REQUIRE(t.size() == static_cast<Index>(values.size()));
  for (Index i = 0; i < t.size(); ++i) t[i] = static_cast<T>(values.data()[i]);
}

template <class F>
std::vector<double> mapped(std::vector<double> values, F f) {
  for (double& v : values) v = f(v);
  return values;
}

// Fixed numbers without a pattern.
template <Scalar T>
Matrix<T> some_rows(Index rows, Index cols, double scale = 1, double shift = 0) {
  Matrix<T> m(rows, cols);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j)
      m(i, j) = static_cast<T>(shift + scale * (std::sin(1.3 * double(i * i + 1) + 2.1 * double(j)) +
                                                0.5 * std::cos(0.7 * double(i) * double(j + 1))));
  return m;
}

// The result of a recorded pass, and the gradients of sum(upstream * value) + sum(upstream_log_det * log_det).
template <Scalar T>
struct Recorded {
  Matrix<T> value;
  Eigen::VectorXd log_det;
  double loss = 0;
  Matrix<T> gradient;
  std::vector<std::vector<T>> parameters;
  Proposals<T> proposals;
  CapturedStatistics<T> captured;
};

template <Scalar T>
Recorded<T> record(const Bijector<T>& bijector, bool forward, const Matrix<T>& in, const Matrix<T>& upstream,
                   const Matrix<T>& upstream_log_det, Statistics statistics = Statistics::running, int threads = 1,
                   const CapturedStatistics<T>* captured = nullptr) {
  Recorded<T> r;
  const Index rows = in.rows(), dim = in.cols();
  r.value = r.gradient = Matrix<T>::Zero(rows, dim);
  r.log_det = Eigen::VectorXd::Zero(rows);
  std::vector<const Tensor<T>*> parameters;
  for (const ConstSlot<T>& slot : list_state<T>(static_cast<const Component<T>&>(bijector)))
    if (slot.kind == StateKind::parameter) parameters.push_back(slot.tensor);
  Gradients<T> gradients(parameters);
  Execution execution({.threads = threads});
  Eigen::VectorXd losses = Eigen::VectorXd::Zero(rows);
  const std::vector<double> seed(static_cast<std::size_t>(rows), 1.0);
  execution.run([&](int thread) {
    const Index blocks = (rows + 15) / 16;
    const Index begin = std::min(rows, blocks * thread / threads * 16);
    const Index end = std::min(rows, blocks * (thread + 1) / threads * 16);
    Tape<T> tape(Tape<T>::Mode::record, {execution.common(), execution.local(thread)}, rows, begin, end,
                 &execution.group(), thread);
    tape.set_gradients(&gradients);
    Pass<T> pass(tape,
                 {.statistics = statistics, .captured = captured, .proposals = &r.proposals, .capture = &r.captured});
    const Var<T> x = detail::load<T>(tape, in, true);
    const Mapped<T> m = forward ? bijector.forward(pass, x) : bijector.inverse(pass, x);
    const Column<T> loss = row_sum(m.value * detail::load<T>(tape, upstream, false)) +
                           multiply(m.log_det, row_sum(detail::load<T>(tape, upstream_log_det, false)));
    detail::store<T>(tape, m.value, r.value);
    for (Index i = 0; i < end - begin; ++i) {
      r.log_det[begin + i] = m.log_det.is_zero() ? 0 : m.log_det.values()[i];
      losses[begin + i] = loss.values()[i];
    }
    tape.backward(loss, seed.data());
    for (Index c = 0; c < dim; ++c)
      for (Index i = 0; i < end - begin; ++i) r.gradient(begin + i, c) = tape.gradient(x, c)[i];
  });
  r.loss = losses.sum();
  for (const Tensor<T>* p : parameters) r.parameters.emplace_back(gradients.find(p), gradients.find(p) + p->size());
  return r;
}

// Central differences of the same sum, in the input and in every parameter, against the recorded gradients.
inline void check_gradients(Bijector<double>& bijector, bool forward, const Matrix<double>& in, Statistics statistics) {
  const Matrix<double> upstream = some_rows<double>(in.rows(), in.cols(), 0.8, 0.3);
  const Matrix<double> upstream_log_det = some_rows<double>(in.rows(), 1, 1.1, -0.4);
  const auto loss = [&](const Matrix<double>& at) {
    return record<double>(bijector, forward, at, upstream, upstream_log_det, statistics).loss;
  };
  const Recorded<double> r = record<double>(bijector, forward, in, upstream, upstream_log_det, statistics);
  const double h = 1e-5;
  Matrix<double> at = in;
  for (Index i = 0; i < in.size(); ++i) {
    at.data()[i] = in.data()[i] + h;
    const double up = loss(at);
    at.data()[i] = in.data()[i] - h;
    const double down = loss(at);
    at.data()[i] = in.data()[i];
    INFO("input " << i);
    CHECK(r.gradient.data()[i] == Approx((up - down) / (2 * h)).epsilon(1e-6).margin(1e-7));
  }
  std::size_t p = 0;
  for (const Slot<double>& slot : list_state<double>(static_cast<Component<double>&>(bijector))) {
    if (slot.kind != StateKind::parameter) continue;
    for (Index i = 0; i < slot.tensor->size(); ++i) {
      const double kept = (*slot.tensor)[i];
      (*slot.tensor)[i] = kept + h;
      const double up = loss(in);
      (*slot.tensor)[i] = kept - h;
      const double down = loss(in);
      (*slot.tensor)[i] = kept;
      INFO(slot.path << " " << i);
      CHECK(r.parameters[p][static_cast<std::size_t>(i)] == Approx((up - down) / (2 * h)).epsilon(1e-6).margin(1e-7));
    }
    ++p;
  }
}

template <Scalar T>
Matrix<T> one(T value) {
  return Matrix<T>::Constant(1, 1, value);
}

// Distance in units of the last place of `b`.
template <Scalar T>
double ulps(T a, long double b) {
  const T rounded = static_cast<T>(b);
  const T step = std::nextafter(std::abs(rounded), std::numeric_limits<T>::infinity()) - std::abs(rounded);
  return static_cast<double>(std::abs(static_cast<long double>(a) - b) / static_cast<long double>(step));
}

// Equal to a few roundings in T.
template <Scalar T>
Approx near(long double value) {
  constexpr double tolerance = 8 * static_cast<double>(std::numeric_limits<T>::epsilon());
  return Approx(static_cast<double>(value)).epsilon(tolerance).margin(tolerance);
}

}  // namespace bijector_tests
