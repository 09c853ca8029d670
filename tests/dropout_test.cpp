// Dropout: each value is 0 with probability `rate` and x / (1 - rate) otherwise.

#include <cmath>
#include <pushforward/pass.hpp>
#include <pushforward/random.hpp>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {

template <class T>
struct Dropped {
  Matrix<T> value, gradient;
};

/// x through dropout, and the gradient of its sum, with x for the rows from `first` on of a call; `calls` times, the
/// last counts. Without a call where `call` is null.
template <class T>
Dropped<T> dropped(const Matrix<T>& x, double rate, const RandomCall* call, Index first = 0, int calls = 1) {
  Arena batch, local;
  Tape<T> tape(Tape<T>::Mode::record, {batch, local}, x.rows());
  typename Pass<T>::Settings settings;
  settings.dropout = call;
  settings.first_row = first;
  Pass<T> pass(tape, settings);
  const Var<T> in = tape.matrix(x.cols(), true);
  for (Index c = 0; c < x.cols(); ++c)
    for (Index i = 0; i < tape.padded_rows(); ++i) tape.value(in, c)[i] = i < x.rows() ? x(i, c) : T(0);
  Var<T> out = in;
  for (int k = 0; k < calls; ++k) out = pass.dropout(in, rate);
  const std::vector<double> ones(static_cast<std::size_t>(x.rows()), 1.0);
  tape.backward(row_sum(out), ones.data());
  Dropped<T> result{Matrix<T>(x.rows(), x.cols()), Matrix<T>(x.rows(), x.cols())};
  for (Index c = 0; c < x.cols(); ++c)
    for (Index i = 0; i < x.rows(); ++i) {
      result.value(i, c) = tape.value(out, c)[i];
      result.gradient(i, c) = tape.gradient(in, c)[i];
    }
  return result;
}

template <class T>
Matrix<T> numbers(Index rows, Index cols) {
  Matrix<T> x(rows, cols);
  for (Index k = 0; k < x.size(); ++k) x.data()[k] = static_cast<T>(1.5 + std::sin(double(k)));
  return x;
}

}  // namespace

TEMPLATE_TEST_CASE("Dropout keeps the mean: 0 or x / (1 - rate), each as often as the rate says", "[dropout]", float,
                   double) {
  using T = TestType;
  const Index rows = 4000, cols = 5;
  const Matrix<T> x = numbers<T>(rows, cols);
  const RandomCall call = Engine(3).next_call();
  for (const double rate : {0.1, 0.5, 0.75}) {
    INFO("rate " << rate);
    const T kept = static_cast<T>(1 / (1 - rate));
    const Dropped<T> got = dropped<T>(x, rate, &call);
    Index zeros = 0;
    for (Index k = 0; k < x.size(); ++k) {
      const T value = got.value.data()[k], factor = got.gradient.data()[k];
      REQUIRE((value == 0 ? factor == 0 : factor == kept && value == x.data()[k] * kept));
      zeros += value == 0;
    }
    const double n = static_cast<double>(x.size());
    CHECK(std::abs(static_cast<double>(zeros) - n * rate) < 4.5 * std::sqrt(n * rate * (1 - rate)));
  }
}

TEST_CASE("Dropout draws for each row, column and layer by itself, whatever the batch begins with", "[dropout]") {
  const Matrix<double> x = numbers<double>(400, 2);
  Engine engine(5);
  const RandomCall call = engine.next_call(), other = engine.next_call();
  const Matrix<double> mask = dropped<double>(x, 0.5, &call).gradient;
  // Of independent fair coins half agree.
  const auto agreement = [](const auto& a, const auto& b) { return (a.array() == b.array()).template cast<double>().mean(); };
  CHECK(agreement(mask.col(0), mask.col(1)) == Approx(0.5).margin(0.12));
  CHECK(agreement(mask.topRows(200), mask.bottomRows(200)) == Approx(0.5).margin(0.12));
  CHECK(agreement(mask, dropped<double>(x, 0.5, &call, 0, 2).gradient) == Approx(0.5).margin(0.12));
  CHECK(agreement(mask, dropped<double>(x, 0.5, &other).gradient) == Approx(0.5).margin(0.12));
  const Matrix<double> rest = x.bottomRows(300);
  CHECK(dropped<double>(rest, 0.5, &call, 100).gradient == mask.bottomRows(300));
}

TEST_CASE("Without random numbers, or at rate 0, nothing is dropped", "[dropout]") {
  const Matrix<double> x = numbers<double>(40, 2);
  const RandomCall call = Engine(5).next_call();
  CHECK(dropped<double>(x, 0.5, nullptr).value == x);
  CHECK(dropped<double>(x, 0, &call).value == x);
}
