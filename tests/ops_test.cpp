// The differentiable operations: arithmetic and structure against plain loops, gradients against differences,
// broadcasting, slices, and the same bits on any number of threads.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <pushforward/error.hpp>
#include <pushforward/ops.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/ops.hpp"
#include "src/core/evaluate.hpp"
#include "src/training/step.hpp"

using namespace pushforward;
using namespace pushforward::testing;
using namespace ops_tests;
using pushforward::detail::load;

namespace {

struct Binary {
  std::string name;
  std::function<Var<double>(Var<double>, Var<double>)> f64;
  std::function<Var<float>(Var<float>, Var<float>)> f32;
  std::function<double(double, double)> value;
};
std::vector<Binary> binary_operations() {
  return {
      {"+", [](auto a, auto b) { return a + b; }, [](auto a, auto b) { return a + b; },
       [](double a, double b) { return a + b; }},
      {"-", [](auto a, auto b) { return a - b; }, [](auto a, auto b) { return a - b; },
       [](double a, double b) { return a - b; }},
      {"*", [](auto a, auto b) { return a * b; }, [](auto a, auto b) { return a * b; },
       [](double a, double b) { return a * b; }},
      {"/", [](auto a, auto b) { return a / b; }, [](auto a, auto b) { return a / b; },
       [](double a, double b) { return a / b; }},
  };
}

}  // namespace

TEST_CASE("Arithmetic: all combinations of batch, shared row and single value", "[ops]") {
  for (const Binary& op : binary_operations()) {
    DYNAMIC_SECTION(op.name) {
      const Index n = 19, d = 3;
      const Matrix<double> x = numbers(n, 2 * d, 21, true);
      Tensor<double> row = tensor({d}, 22, true), other = tensor({d}, 23, true), single = tensor({1}, 24, true),
                     table = tensor({2, d}, 25, true);
      using Make = std::function<Var<double>(Tape<double>&, Var<double>)>;
      const std::vector<std::pair<std::string, Make>> operands{
          {"batch", [&](auto&, Var<double> v) { return columns(v, 0, d); }},
          {"other batch", [&](auto&, Var<double> v) { return columns(v, d, d); }},
          {"row", [&](auto& tape, Var<double>) { return tape.parameter(row); }},
          {"other row", [&](auto& tape, Var<double>) { return tape.parameter(other); }},
          {"single", [&](auto& tape, Var<double>) { return tape.parameter(single); }},
          {"table", [&](auto& tape, Var<double>) { return tape.parameter(table); }},
      };
      const auto at = [&](const std::string& kind, Index i, Index c) {
        if (kind == "batch") return x(i, c);
        if (kind == "other batch") return x(i, d + c);
        if (kind == "row") return row[c];
        if (kind == "other row") return other[c];
        if (kind == "single") return single[0];
        return table(i, c);
      };
      for (const auto& [name_a, a] : operands)
        for (const auto& [name_b, b] : operands) {
          // A table goes with itself and with a single value.
          const bool table_a = name_a == "table", table_b = name_b == "table";
          if (table_a != table_b && name_a != "single" && name_b != "single") continue;
          INFO(name_a << " " << op.name << " " << name_b);
          const auto f = [&](Tape<double>& tape, Var<double> v) { return op.f64(a(tape, v), b(tape, v)); };
          const Matrix<double> got = values<double>(x, f);
          for (Index i = 0; i < got.rows(); ++i)
            for (Index c = 0; c < got.cols(); ++c) CHECK(got(i, c) == op.value(at(name_a, i, c), at(name_b, i, c)));
          std::vector<NamedTensor> used;
          for (const auto& [name, t] : std::vector<std::pair<std::string, Tensor<double>*>>{
                   {"row", &row}, {"other row", &other}, {"single", &single}, {"table", &table}})
            if ((name_a == name || name_b == name) && !(name_a == name_b && (op.name == "-" || op.name == "/")))
              used.push_back({name, t});
          check_gradients(
              [&](Pass<double>& pass, Var<double> v) { return random_projection(pass, f(pass.tape(), v), 7); }, x,
              used);
        }
      const Matrix<double> narrow =
          values<float>(x, [&](auto&, Var<float> v) { return op.f32(columns(v, 0, d), columns(v, d, d)); });
      for (Index i = 0; i < n; ++i)
        for (Index c = 0; c < d; ++c)
          CHECK(narrow(i, c) == Approx(op.value(x(i, c), x(i, d + c))).epsilon(2e-6).margin(1e-6));
    }
  }
}

TEST_CASE("Sizes that do not fit are refused", "[ops]") {
  const Matrix<double> x = numbers(5, 4, 1);
  const Tensor<double> row = tensor({3}, 2), square_matrix = tensor({3, 3}, 3), four = tensor({4, 4}, 4);
  const auto refused = [&](const std::function<void(Tape<double>&, Var<double>)>& f) {
    CHECK_THROWS_AS(values<double>(x,
                                   [&](Tape<double>& tape, Var<double> v) {
                                     f(tape, v);
                                     return v;
                                   }),
                    ShapeError);
  };
  refused([&](auto& tape, auto v) { (void)(v + tape.parameter(row)); });
  refused([&](auto& tape, auto v) { (void)(tape.parameter(row) / v); });
  refused([&](auto&, auto v) { (void)(v * columns(v, 0, 3)); });
  refused([&](auto&, auto v) { (void)columns(v, 2, 3); });
  refused([&](auto&, auto v) { (void)columns(v, -1, 2); });
  refused([&](auto& tape, auto) { (void)shared_columns(tape.parameter(row), 2, 2); });
  refused([&](auto&, auto v) {
    const std::vector<std::int64_t> index{4};
    (void)gather_columns<double>(v, index);
  });
  refused([&](auto&, auto v) { (void)split_columns(v, 3); });
  refused([&](auto& tape, auto v) { assign(tape.matrix(3, false), v); });
  refused([&](auto& tape, auto v) { (void)concatenate<double>({v, tape.parameter(row)}); });
  refused([&](auto& tape, auto v) { (void)linear(v, tape.parameter(square_matrix), Var<double>()); });
  refused(
      [&](auto& tape, auto v) { (void)triangular_multiply(v, tape.parameter(square_matrix), Var<double>(), true); });
  refused([&](auto& tape, auto v) { (void)triangular_solve(v, tape.parameter(four), tape.parameter(row), true); });
  refused([&](auto& tape, auto v) { (void)normalize_batch(v, tape.parameter(row), Var<double>(), 1e-5); });
  refused([&](auto& tape, auto v) { (void)normalize_batch(v, Var<double>(), tape.parameter(row), 1e-5); });
}

// --------------------------------------------------------------------------------------------------------- structure

TEST_CASE("Columns, concatenation, gathering, assignment", "[ops]") {
  const Matrix<double> x = numbers(19, 5, 31);
  const std::vector<std::int64_t> index{3, 0, 3, 4};
  Tensor<double> row = tensor({5}, 32);

  CHECK(values<double>(x, [](auto&, auto v) { return columns(v, 1, 3); }) == x.middleCols(1, 3));
  CHECK(values<double>(x, [](auto&, auto v) { return columns(columns(v, 1, 4), 2, 2); }) == x.middleCols(3, 2));
  Matrix<double> gathered(19, 4), joined(19, 7);
  for (Index c = 0; c < 4; ++c) gathered.col(c) = x.col(index[static_cast<std::size_t>(c)]);
  joined << x.rightCols(2), x;
  CHECK(values<double>(x, [&](auto&, auto v) { return gather_columns<double>(v, index); }) == gathered);
  CHECK(values<double>(x, [](auto&, auto v) { return concatenate<double>({columns(v, 3, 2), v}); }) == joined);
  CHECK(values<double>(joined.leftCols(6), [](auto&, auto v) { return split_columns(v, 3)[1]; }) ==
        joined.middleCols(2, 2));
  const Matrix<double> part =
      values<double>(x, [&](auto& tape, auto) { return shared_columns(tape.parameter(row), 1, 3); });
  for (Index c = 0; c < 3; ++c) CHECK(part(0, c) == row[c + 1]);

  check_gradients(
      [&](Pass<double>& pass, Var<double> v) {
        const Var<double> middle = columns(v, 1, 3);
        const Var<double> inner = columns(middle, 1, 2);  // a slice of a slice
        return random_projection(pass, square(middle), 1) + random_projection(pass, inner * columns(v, 0, 2), 2) +
               random_projection(pass, v, 3);
      },
      x, {});
  check_gradients([&](Pass<double>& pass,
                      Var<double> v) { return random_projection(pass, square(gather_columns<double>(v, index)), 1); },
                  x, {});
  check_gradients(
      [&](Pass<double>& pass, Var<double> v) {
        return random_projection(pass, square(concatenate<double>({columns(v, 3, 2), v, exp(columns(v, 0, 1))})), 1);
      },
      x, {});
  check_gradients(
      [&](Pass<double>& pass, Var<double> v) {
        const std::span<const Var<double>> parts = split_columns(concatenate<double>({v, square(v)}), 5);
        return random_projection(pass, parts[1] * parts[4] + parts[0], 1);
      },
      x, {});
  check_gradients(
      [&](Pass<double>& pass, Var<double> v) {
        const Var<double> target = pass.tape().matrix(3, true);
        assign(columns(target, 0, 2), square(columns(v, 0, 2)));
        assign(columns(target, 2, 1), columns(v, 4, 1));
        return random_projection(pass, target * target, 1);
      },
      x, {});
  check_gradients(
      [&](Pass<double>& pass, Var<double> v) {
        const Var<double> p = pass.parameter(row);
        return random_projection(pass, columns(v, 0, 3) * shared_columns(p, 2, 3), 1) +
               random_projection(pass, exp(shared_columns(p, 0, 3)), 2) + random_projection(pass, columns(p, 1, 2), 3);
      },
      x, {{"row", &row}});
}

// ------------------------------------------------------------------------------------------------------------ columns

TEST_CASE("Columns: one double per row", "[ops]") {
  const Matrix<double> x = numbers(19, 3, 61, true);
  Tensor<double> row = tensor({3}, 62, true), matrix = tensor({2, 3}, 63);
  const auto first = [](Var<double> v) { return row_sum(columns(v, 0, 1)); };
  const auto second = [](Var<double> v) { return row_sum(columns(v, 1, 2)); };
  const Eigen::ArrayXd a = x.col(0), b = x.rightCols(2).rowwise().sum();
  const auto check = [&](const auto& f, const Eigen::ArrayXd& expected) {
    check_close(column_values(x, [&](auto&, Var<double> v) { return f(v); }), expected, 1e-14);
    check_gradients([&](Pass<double>&, Var<double> v) { return f(v); }, x, {});
    check_gradients([&](Pass<double>&, Var<double> v) { return multiply(f(v), f(v)) + f(v); }, x, {});
  };
  check([&](auto v) { return first(v) + second(v); }, a + b);
  check([&](auto v) { return first(v) - second(v); }, a - b);
  check([&](auto v) { return -first(v); }, -a);
  check([&](auto v) { return scale_shift(first(v), -2.5, 0.5); }, -2.5 * a + 0.5);
  check([&](auto v) { return first(v) * 3.0 + 2.0 * second(v); }, 3 * a + 2 * b);
  check([&](auto v) { return multiply(first(v), second(v)); }, a * b);
  check([&](auto v) { return exp(first(v)); }, a.exp());
  check([&](auto v) { return log1p(first(v)); }, a.log1p());
  check(
      [&](auto v) {
        return log_sum_exp(
            std::span<const Column<double>>(std::vector<Column<double>>{first(v), second(v), first(v) * 2.0}));
      },
      (a.exp() + b.exp() + (2 * a).exp()).log());
  check([&](auto v) { return row_sum(square(to_matrix(multiply(first(v), second(v))))); }, (a * b).square());
  check([&](auto v) { return first(v) + constant_column(v.tape(), 1.25); }, a + 1.25);
  check([&](auto v) { return first(v) + Column<double>() - Column<double>(); }, a);
  check([&](auto v) { return Column<double>() - first(v); }, -a);
  CHECK(column_values(x, [](auto&, auto v) { return multiply(row_sum(v), Column<double>()); }).isZero(0));

  const double total = std::accumulate(matrix.values().begin(), matrix.values().end(), 0.0);
  check_close(column_values(x, [&](auto& t, auto) { return row_sum(t.parameter(matrix)); }),
              Eigen::VectorXd::Constant(19, total), 1e-14);
  check_gradients(
      [&](Pass<double>& p, Var<double> v) {
        return multiply(row_sum(p.parameter(matrix)), row_sum(v)) + row_sum(log(p.parameter(row))) +
               multiply(row_sum(p.parameter(row)), first(v));
      },
      x, {{"row", &row}, {"matrix", &matrix}});

  SECTION("a row of -inf only") {
    const double inf = std::numeric_limits<double>::infinity();
    const Eigen::VectorXd got = column_values(x, [&](auto& t, auto v) {
      return log_sum_exp(std::span<const Column<double>>(
          std::vector<Column<double>>{constant_column(t, -inf), first(v) * 0.0 + constant_column(t, -inf)}));
    });
    CHECK((got.array() == -inf).all());
  }
}

// ------------------------------------------------------------------------------------------------------------ threads

namespace {

template <Scalar T>
struct Outcome {
  std::vector<T> gradients;
  std::vector<double> loss;
  bool operator==(const Outcome&) const = default;
};

/// Everything at once, on any number of threads: loss of each row and the gradients of all parameters.
template <Scalar T>
Outcome<T> on_threads(int threads, Index rows) {
  const Matrix<T> x = numbers(rows, 4, 81).cast<T>();
  std::vector<Tensor<T>> tensors;
  for (const std::vector<Index>& shape :
       std::vector<std::vector<Index>>{{20, 4}, {20}, {4, 20}, {4}, {4, 4}, {4}, {4}, {1}})
    tensors.push_back(cast_tensor<T>(tensor(shape, 82 + tensors.size(), shape.size() == 1)));
  std::vector<const Tensor<T>*> list;
  for (const Tensor<T>& t : tensors) list.push_back(&t);
  Gradients<T> gradients{std::span<const Tensor<T>* const>(list)};
  Outcome<T> outcome;
  outcome.loss.assign(static_cast<std::size_t>(rows), 0.0);
  const std::vector<double> seed(static_cast<std::size_t>(rows), 1.0);
  Execution execution({.threads = threads});
  execution.run([&](int rank) {
    const auto [begin, end] = pushforward::detail::thread_rows(rows, rank, threads);
    Tape<T> tape(Tape<T>::Mode::record, {execution.common(), execution.local(rank)}, rows, begin, end,
                 &execution.group(), rank);
    tape.set_gradients(&gradients);
    Pass<T> pass(tape, {});
    const Var<T> v = load<T>(tape, x, true);
    const auto p = [&](std::size_t i) { return tape.parameter(tensors[i]); };
    const Var<T> h = tanh(linear(v, p(0), p(1)));
    Var<T> y = linear(h, p(2), p(3)) * p(5) + v / p(6);
    const NormalizedBatch<T> normal = normalize_batch(y, p(6), p(3), 1e-3);
    y = triangular_solve(triangular_multiply(normal.value, p(4), p(5), true), p(4), p(5), false) * exp(p(7));
    const Column<T> loss = random_projection(pass, square(y), 1) + normal.log_det + row_sum(log(p(5)));
    std::copy_n(loss.values(), end - begin, outcome.loss.data() + begin);
    tape.backward(loss, seed.data());
  });
  for (const Tensor<T>* t : list)
    outcome.gradients.insert(outcome.gradients.end(), gradients.find(t), gradients.find(t) + t->size());
  return outcome;
}

}  // namespace

TEMPLATE_TEST_CASE("A tape on several threads gives the bits of one thread", "[ops]", float, double) {
  for (const Index rows : {Index(1), Index(40), Index(331)}) {
    const Outcome<TestType> one = on_threads<TestType>(1, rows);
    for (const int threads : {2, 3}) {
      INFO(rows << " rows on " << threads << " threads");
      CHECK((on_threads<TestType>(threads, rows) == one));
    }
    for (const TestType g : one.gradients) CHECK(std::isfinite(g));
  }
}
