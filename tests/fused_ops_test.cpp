// Operations that log densities, bounded maps and splines are made of: values against plain arithmetic, gradients
// against differences, and what happens to elements beyond a bound.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <pushforward/error.hpp>
#include <pushforward/ops.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "src/core/evaluate.hpp"
#include "src/numerics/constants.hpp"
#include "src/ops/density.hpp"
#include "src/ops/intervals.hpp"
#include "src/ops/spline.hpp"
#include "tests/catch.hpp"

using namespace pushforward;
using namespace pushforward::testing;
using namespace pushforward::detail;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

Matrix<double> numbers(Index rows, Index cols, std::uint64_t seed) {
  Matrix<double> m(rows, cols);
  Engine(seed).next_call().normal(0, rows, cols, m.data(), rows);
  return m;
}
Tensor<double> tensor(std::vector<Index> shape, std::uint64_t seed) {
  Tensor<double> t(std::move(shape));
  const Matrix<double> m = numbers(t.size(), 1, seed);
  std::copy_n(m.data(), t.size(), t.data());
  return t;
}

void check_gradients(const RowFunction& f, const Matrix<double>& x, const std::vector<NamedTensor>& parameters) {
  std::vector<double> largest;
  const std::vector<Failure> failures = check_gradient(f, x, {}, parameters, {}, &largest);
  INFO(report(failures));
  CHECK(failures.empty());
  for (const double g : largest) CHECK(g > 0);
}

/// A recorded matrix or column made from the columns of x, and its gradient in x where it is multiplied by `seed`.
struct Recorded {
  Matrix<double> value;
  Matrix<double> gradient;
};
template <class T, class F>
Recorded record_once(const Matrix<double>& x, const F& f) {
  Workspace memory;
  Tape<T> tape(Tape<T>::Mode::record, {memory.batch, memory.local}, x.rows());
  const Matrix<T> in = x.cast<T>();
  const Var<T> v = load<T>(tape, in, true);
  const auto y = f(tape, v);
  Recorded r{{}, Matrix<double>::Zero(x.rows(), x.cols())};
  Column<T> loss;
  if constexpr (std::is_same_v<std::remove_const_t<decltype(y)>, Column<T>>) {
    r.value.resize(x.rows(), 1);
    for (Index i = 0; i < x.rows(); ++i) r.value(i, 0) = y.values()[i];
    loss = y;
  } else {
    r.value.resize(x.rows(), y.cols());
    for (Index c = 0; c < y.cols(); ++c)
      for (Index i = 0; i < x.rows(); ++i) r.value(i, c) = static_cast<double>(y.values(c)[i]);
    loss = row_sum(y);
  }
  const std::vector<double> twos(static_cast<std::size_t>(x.rows()), 2.0);
  tape.backward(loss, twos.data());
  if (Tape<T>::has_gradient(v))
    for (Index c = 0; c < x.cols(); ++c)
      for (Index i = 0; i < x.rows(); ++i) r.gradient(i, c) = static_cast<double>(tape.gradient(v, c)[i]);
  return r;
}

}  // namespace

// ----------------------------------------------------------------------------------------------- public operations

TEMPLATE_TEST_CASE("clamp moves values inside, and lets the gradient pass", "[ops]", float, double) {
  const Matrix<double> x{{-3, 0.25, 7}, {not_a_number, -infinity, infinity}};
  const auto r = record_once<TestType>(x, [](auto&, auto v) { return clamp(v, -1, 2); });
  CHECK(r.value.row(0) == Eigen::RowVector3d(-1, 0.25, 2));
  CHECK(std::isnan(r.value(1, 0)));
  CHECK(r.value(1, 1) == -1);
  CHECK(r.value(1, 2) == 2);
  CHECK((r.gradient.array() == 2).all());
}

TEMPLATE_TEST_CASE("clip moves values inside, and has the gradient of that", "[ops]", float, double) {
  const Matrix<double> x{{-3, 0.25, 7}, {not_a_number, -infinity, infinity}, {-1, 2, 0}};
  const auto r = record_once<TestType>(x, [](auto&, auto v) { return clip(v, -1, 2); });
  CHECK(r.value.row(0) == Eigen::RowVector3d(-1, 0.25, 2));
  CHECK(std::isnan(r.value(1, 0)));
  CHECK(r.value(1, 1) == -1);
  CHECK(r.value(1, 2) == 2);
  CHECK(r.gradient == Matrix<double>{{0, 2, 0}, {2, 0, 0}, {2, 2, 2}});
  CHECK_THROWS_WITH(record_once<double>(x, [](auto&, auto v) { return clip(v, 1, 0); }),
                    ContainsSubstring("clip: expected low <= high, got 1 and 0"));
}

TEST_CASE("clamp of parameters, and bounds that are none", "[ops]") {
  const Matrix<double> x = numbers(19, 4, 1);
  Tensor<double> row = tensor({4}, 2), matrix = tensor({3, 4}, 3);
  check_gradients(
      [&](Pass<double>& pass, Var<double> v) {
        return random_projection(pass, clamp(v, -9, 9) * clamp(pass.parameter(row), -9, 9), 1) +
               random_projection(pass, clamp(pass.parameter(matrix), -9, infinity), 2);
      },
      x, {{"row", &row}, {"matrix", &matrix}});
  const auto bounds = [&](double low, double high) {
    record_once<double>(x, [=](auto&, Var<double> v) { return clamp(v, low, high); });
  };
  bounds(1, 1);
  CHECK_THROWS_AS(bounds(1, 0), DomainError);
  CHECK_THROWS_WITH(bounds(1, not_a_number), ContainsSubstring("clamp: expected low <= high, got 1 and nan"));
}

TEMPLATE_TEST_CASE("log1p_square is accurate for every size", "[ops]", float, double) {
  const bool small = sizeof(TestType) == 4;
  Matrix<double> x(1, 12);
  x << 0, 1e-20, -1e-5, 0.25, -1, 3, 1e4, -2e8, 3e9, small ? -1e20 : -4e18, small ? 1e30 : 1e160,
      small ? 1e38 : -1e300;
  x = x.template cast<TestType>().template cast<double>().eval();
  const auto r = record_once<TestType>(x, [](auto&, auto v) { return log1p_square(v); });
  const double tolerance = 4 * static_cast<double>(std::numeric_limits<TestType>::epsilon());
  const double least = static_cast<double>(std::numeric_limits<TestType>::min());
  for (Index c = 0; c < x.cols(); ++c) {
    const auto v = static_cast<long double>(x(0, c));
    const auto value = static_cast<double>(std::log1p(v * v)), slope = static_cast<double>(4 * v / (1 + v * v));
    INFO(x(0, c) << ": " << r.value(0, c) << " and " << value << ", " << r.gradient(0, c) << " and " << slope);
    CHECK(std::abs(r.value(0, c) - value) <= tolerance * value + least);
    CHECK(std::abs(r.gradient(0, c) - slope) <= tolerance * std::abs(slope));
  }
}

TEST_CASE("log1p_square and row_sum_of_squares of batches and of what they share", "[ops]") {
  const Matrix<double> x = numbers(19, 4, 4);
  Tensor<double> row = tensor({4}, 5), matrix = tensor({3, 4}, 6);
  const auto squares = record_once<double>(x, [](auto&, Var<double> v) { return row_sum_of_squares(v); });
  for (Index i = 0; i < x.rows(); ++i) CHECK(squares.value(i, 0) == Approx(x.row(i).squaredNorm()).epsilon(1e-14));
  check_gradients(
      [&](Pass<double>& pass, Var<double> v) {
        const Var<double> shared = pass.parameter(row);
        return random_projection(pass, log1p_square(v) * log1p_square(shared), 1) +
               random_projection(pass, log1p_square(pass.parameter(matrix)), 2) +
               random_projection(pass, row_sum_of_squares(v * shared), 3);
      },
      x, {{"row", &row}, {"matrix", &matrix}});
  // Of parameters alone: the same in every row.
  check_gradients(
      [&](Pass<double>& pass, Var<double>) {
        const Column<double> sum = row_sum_of_squares(pass.parameter(matrix));
        double expected = 0;
        for (const double v : matrix.values()) expected += v * v;
        for (Index i = 0; i < 19; ++i) CHECK(sum.values()[i] == Approx(expected).epsilon(1e-14));
        return random_projection(pass, sum, 4);
      },
      x, {{"matrix", &matrix}});
}

TEST_CASE("row_sum_of_squares is finite for every finite float", "[ops]") {
  const Matrix<double> x{{3e38, -1e30}, {1e-30, 2e-30}};
  const auto r = record_once<float>(x, [](auto&, Var<float> v) { return row_sum_of_squares(v); });
  const Matrix<double> in = x.cast<float>().cast<double>();
  CHECK(r.value(0, 0) == in.row(0).squaredNorm());
  CHECK(r.value(1, 0) == in.row(1).squaredNorm());
  CHECK(r.gradient(1, 1) == static_cast<double>(static_cast<float>(4 * in(1, 1))));
}

// ------------------------------------------------------------------------------------------------------- densities

namespace {

// q sin x - p^2 x.
class Wave {
 public:
  Wave(double p, double q) : p_(p), q_(q) {}
  double value(double x) const { return q_ * std::sin(x) - p_ * p_ * x; }
  double in_x(double x) const { return q_ * std::cos(x) - p_ * p_; }
  double in_p(double x) const { return -2 * p_ * x; }
  double in_q(double x) const { return std::sin(x); }

 private:
  double p_, q_;
};

}  // namespace

TEST_CASE("sums of densities have the gradients of their functions", "[ops]") {
  const Matrix<double> x = numbers(37, 20, 7);  // more columns than a block of outputs
  Tensor<double> p = tensor({20}, 8), q = tensor({20}, 9);
  const auto sum = [&](Pass<double>& pass, Var<double> v) {
    return row_sum_of_density<Wave>(v, pass.parameter(p), pass.parameter(q));
  };
  check_gradients([&](Pass<double>& pass, Var<double> v) { return random_projection(pass, sum(pass, v), 1); }, x,
                  {{"p", &p}, {"q", &q}});
  // One of the rows alone is learned.
  check_gradients(sum, x, {{"p", &p}});
  check_gradients(sum, x, {{"q", &q}});
  const auto r = record_once<double>(
      x, [&](auto& tape, Var<double> v) { return row_sum_of_density<Wave>(v, tape.parameter(p), tape.parameter(q)); });
  for (Index i = 0; i < x.rows(); ++i) {
    double expected = 0;
    for (Index c = 0; c < x.cols(); ++c) expected += q[c] * std::sin(x(i, c)) - p[c] * p[c] * x(i, c);
    CHECK(r.value(i, 0) == Approx(expected).epsilon(1e-12).margin(1e-12));
  }
}

TEST_CASE("a sum of densities wants a gradient if one of its arguments does", "[ops]") {
  const Matrix<double> x = numbers(5, 2, 16);
  const Tensor<double> p = tensor({2}, 17), q = tensor({2}, 18);
  const auto wants = [&](bool of_x, std::vector<const Tensor<double>*> learned) {
    Workspace memory;
    Gradients<double> gradients(learned);
    Tape<double> tape(Tape<double>::Mode::record, {memory.batch, memory.local}, x.rows());
    tape.set_gradients(&gradients);
    const Var<double> v = load<double>(tape, x, of_x);
    return wanted(row_sum_of_density<Wave>(v, tape.parameter(p), tape.parameter(q)));
  };
  CHECK(wants(true, {}));
  CHECK(wants(false, {&p}));
  CHECK(wants(false, {&q}));
  CHECK_FALSE(wants(false, {}));
}

TEST_CASE("a column that is a function of shared numbers", "[ops]") {
  const Matrix<double> x = numbers(37, 2, 10);
  Tensor<double> row = tensor({20}, 11);
  check_gradients(
      [&](Pass<double>& pass, Var<double> v) {
        double sum = 0;
        for (const double r : row.values()) sum += std::exp(r);
        const Column<double> c =
            column_of_shared(pass.parameter(row), sum, [&](Index i) { return std::exp(row[i]); });
        for (Index i = 0; i < x.rows(); ++i) CHECK(c.values()[i] == sum);
        return multiply(c, row_sum(v));
      },
      x, {{"row", &row}});
}

TEST_CASE("rows that are replaced have no gradient", "[ops]") {
  const Matrix<double> x = numbers(5, 3, 12);
  std::vector<std::uint8_t> mask(16, 0);
  mask[1] = mask[4] = 1;
  const auto r = record_once<double>(
      x, [&](auto& tape, Var<double> v) { return replace_rows(tape, row_sum(v), mask.data(), -1.5); });
  for (Index i = 0; i < x.rows(); ++i) {
    const bool replaced = i == 1 || i == 4;
    CHECK(r.value(i, 0) == (replaced ? -1.5 : x.row(i).sum()));
    CHECK((r.gradient.row(i).array() == (replaced ? 0 : 2)).all());
  }
  const auto of_zero = record_once<double>(x, [&](auto& tape, Var<double> v) {
    return replace_rows(tape, Column<double>(), mask.data(), -infinity) + row_sum(v) * 0.5;
  });
  CHECK(of_zero.value(0, 0) == 0.5 * x.row(0).sum());
  CHECK(of_zero.value(1, 0) == -infinity);
}

// ------------------------------------------------------------------------------------------------------- intervals

TEMPLATE_TEST_CASE("elements outside an interval are replaced, marked and without gradient", "[ops]", float, double) {
  using T = TestType;
  const Matrix<double> x{{-1, 0.5, 2}, {0, 0.5, 1}, {0.25, not_a_number, 0.5}, {0.25, 0.5, 3}, {0.25, 0.5, 0.75}};
  const std::vector<double> low{0, 0, 0.5}, high{1, 2, 2};
  const std::vector<T> replacement{T(0.125), T(0.25), T(1.5)};
  const auto run = [&](const ReplacementRange<T>& range, std::vector<std::uint8_t>& marks) {
    return record_once<T>(x, [&](auto&, Var<T> v) { return replace_outside(v, range, marks.data()); });
  };
  const auto check = [&](const auto& r, Index i, Index c, bool replaced, double substitute) {
    INFO("row " << i << ", column " << c);
    if (std::isnan(x(i, c)))
      CHECK(std::isnan(r.value(i, c)));
    else
      CHECK(r.value(i, c) == (replaced ? substitute : x(i, c)));
    CHECK(r.gradient(i, c) == (replaced ? 0 : 2));
  };
  for (const bool closed : {false, true}) {
    INFO((closed ? "closed" : "open"));
    // Marks that were there stay.
    std::vector<std::uint8_t> marks(16, 0);
    marks[4] = 1;
    const auto r = run({low.data(), high.data(), replacement.data(), 1, closed}, marks);
    for (std::size_t c = 0; c < 3; ++c)
      for (Index i = 0; i < x.rows(); ++i) {
        const double v = x(i, static_cast<Index>(c));
        const bool at_end = v == low[c] || v == high[c];
        check(r, i, static_cast<Index>(c), v < low[c] || v > high[c] || (at_end && !closed),
              static_cast<double>(replacement[c]));
      }
    const bool open = !closed;
    CHECK(marks == std::vector<std::uint8_t>{1, open, open, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  }
  // One interval for all columns.
  std::vector<std::uint8_t> marks(16, 0);
  const auto r = run({low.data(), high.data(), replacement.data(), 0, true}, marks);
  for (Index c = 0; c < 3; ++c)
    for (Index i = 0; i < x.rows(); ++i) check(r, i, c, x(i, c) < 0 || x(i, c) > 1, 0.125);
}

TEST_CASE("a sigmoid between bounds", "[ops]") {
  const std::vector<double> low{-2, 1, 100}, high{3, 1.5, 101}, width{5, 0.5, 1}, first{-1.99, 1, 100.001},
      last{2.99, 1.5, 100.999};
  const SigmoidRange<double> range{low.data(), high.data(), width.data(), first.data(), last.data()};
  Matrix<double> x = numbers(19, 3, 13);
  check_gradients(
      [&](Pass<double>& pass, Var<double> v) { return random_projection(pass, sigmoid_between(v, range), 1); }, x, {});
  x.row(0) << -50, -800, -50;
  x.row(1) << 50, 800, 50;
  const auto r = record_once<double>(x, [&](auto&, Var<double> v) { return sigmoid_between(v, range); });
  CHECK(r.value.row(0) == Eigen::RowVector3d(-1.99, 1, 100.001));
  CHECK(r.value.row(1) == Eigen::RowVector3d(2.99, 1.5, 100.999));
  for (std::size_t c = 0; c < 3; ++c)
    for (Index i = 0; i < x.rows(); ++i) {
      const Index k = static_cast<Index>(c);
      const double s = 1 / (1 + std::exp(-x(i, k)));
      if (i > 1) CHECK(r.value(i, k) == Approx(low[c] + width[c] * s).epsilon(1e-15).margin(1e-15));
      // Also where the value was moved.
      const double e = std::exp(-std::abs(x(i, k))), slope = width[c] * e / ((1 + e) * (1 + e));
      CHECK(r.gradient(i, k) == Approx(2 * slope).epsilon(1e-13));
    }
  const auto single = record_once<float>(x, [&](auto&, Var<float> v) {
    static const std::vector<float> l{-2, 1, 100}, h{3, 1.5, 101}, w{5, 0.5, 1};
    return sigmoid_between(v, SigmoidRange<float>{l.data(), h.data(), w.data(), l.data(), h.data()});
  });
  CHECK((single.value.bottomRows(17) - r.value.bottomRows(17)).cwiseAbs().maxCoeff() < 1e-5);
}

// --------------------------------------------------------------------------------------------------------- splines

TEST_CASE("a spline and its inverse have the gradients of their functions", "[ops]") {
  constexpr Index bins = 4, dim = 3;
  const kernels::Spline<double> spline{.bins = bins,
                                       .low = -3,
                                       .high = 3,
                                       .first = -3,
                                       .last = 3,
                                       .tails = kernels::Tails::identity,
                                       .scale = 1,
                                       .min_width = 1e-3,
                                       .min_height = 1e-3,
                                       .min_derivative = 1e-3,
                                       .max_derivative = 1e18,
                                       .log_range = 0};
  const Index count = 3 * bins - 1;
  // The columns of x, and of each raw number: from the batch, or from a parameter.
  const Matrix<double> x = numbers(19, dim * (1 + count), 14), points = x.leftCols(dim);
  Tensor<double> shared = tensor({dim * count}, 15);
  for (const bool root : {false, true}) {
    INFO(root);
    const auto projected = [&](Pass<double>& pass, const SplineResult<double>& r) {
      return random_projection(pass, r.value, 1) + random_projection(pass, r.log_derivative, 2);
    };
    check_gradients(
        [&](Pass<double>& pass, Var<double> v) {
          const auto raw = split_columns(columns(v, dim, dim * count), count);
          return projected(pass, apply_spline(spline, root, columns(v, 0, dim), raw));
        },
        x, {});
    // The argument, the parameters, the value or the derivative alone.
    check_gradients(
        [&](Pass<double>& pass, Var<double> v) {
          const auto raw = split_columns(spread(pass.tape(), pass.parameter(shared)), count);
          const SplineResult<double> r = apply_spline(spline, root, v, raw);
          return random_projection(pass, r.log_derivative, 3);
        },
        points, {{"shared", &shared}});
    const auto alone = record_once<double>(points, [&](auto& tape, Var<double> v) {
      return apply_spline(spline, root, v, split_columns(spread(tape, tape.parameter(shared)), count)).value;
    });
    const auto slope = record_once<double>(points, [&](auto& tape, Var<double> v) {
      return apply_spline(spline, root, v, split_columns(spread(tape, tape.parameter(shared)), count)).log_derivative;
    });
    CHECK((0.5 * alone.gradient - slope.value.array().exp().matrix()).cwiseAbs().maxCoeff() < 1e-12);
  }
  // One is the inverse of the other.
  const auto there_and_back = record_once<double>(points, [&](auto& tape, Var<double> v) {
    const auto raw = split_columns(spread(tape, tape.parameter(shared)), count);
    return apply_spline(spline, true, apply_spline(spline, false, v, raw).value, raw).value;
  });
  CHECK((there_and_back.value - points).cwiseAbs().maxCoeff() < 1e-12);
  CHECK((there_and_back.gradient.array() - 2).abs().maxCoeff() < 1e-10);
}
