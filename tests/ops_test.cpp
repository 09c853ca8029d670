// The differentiable operations: values against plain loops, gradients against differences, broadcasting, accumulation,
// slices, float against double, and the same bits on any number of threads.

#include <Eigen/LU>
#include <algorithm>
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <pushforward/error.hpp>
#include <pushforward/ops.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <span>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "src/core/evaluate.hpp"
#include "src/training/step.hpp"

using namespace pushforward;
using namespace pushforward::testing;
using Catch::Matchers::ContainsSubstring;
using pushforward::detail::load;

namespace {

Matrix<double> numbers(Index rows, Index cols, std::uint64_t seed, bool positive = false) {
  Matrix<double> m(rows, cols);
  if (m.size() > 0) Engine(seed).next_call().normal(0, rows, cols, m.data(), rows);
  return positive ? Matrix<double>(m.array().abs() + 0.3) : m;
}
Tensor<double> tensor(std::vector<Index> shape, std::uint64_t seed, bool positive = false) {
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

void check_close(const Matrix<double>& got, const Matrix<double>& expected, double tolerance) {
  REQUIRE(got.rows() == expected.rows());
  REQUIRE(got.cols() == expected.cols());
  for (Index i = 0; i < got.rows(); ++i)
    for (Index c = 0; c < got.cols(); ++c) {
      INFO("row " << i << ", column " << c << ": " << got(i, c) << " and " << expected(i, c));
      CHECK(std::abs(got(i, c) - expected(i, c)) <= tolerance * (1 + std::abs(expected(i, c))));
    }
}

void check_gradients(const RowFunction& f, const Matrix<double>& x, const std::vector<NamedTensor>& parameters,
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

// ---------------------------------------------------------------------------------------------- elementwise functions

struct Unary {
  std::string name;
  std::function<Var<double>(Var<double>)> f64;
  std::function<Var<float>(Var<float>)> f32;
  std::function<double(double)> value;
  bool positive = false;
};

double softplus_value(double v) { return std::max(v, 0.0) + std::log1p(std::exp(-std::abs(v))); }
double sigmoid_value(double v) { return 1 / (1 + std::exp(-v)); }

template <Scalar T>
std::function<Var<T>(Var<T>)> act(Activation a) {
  return [a](Var<T> v) { return activation(a, v); };
}

#define PUSHFORWARD_OP(expression)     \
  [](Var<double> v) -> Var<double> {   \
    using T = double;                  \
    (void)sizeof(T);                   \
    return expression;                 \
  },                                   \
      [](Var<float> v) -> Var<float> { \
        using T = float;               \
        (void)sizeof(T);               \
        return expression;             \
      }

std::vector<Unary> unary_operations() {
  return {
      {"exp", PUSHFORWARD_OP(exp(v)), [](double v) { return std::exp(v); }},
      {"log", PUSHFORWARD_OP(log(v)), [](double v) { return std::log(v); }, true},
      {"log1p", PUSHFORWARD_OP(log1p(v)), [](double v) { return std::log1p(v); }, true},
      {"expm1", PUSHFORWARD_OP(expm1(v)), [](double v) { return std::expm1(v); }},
      {"tanh", PUSHFORWARD_OP(tanh(v)), [](double v) { return std::tanh(v); }},
      {"sigmoid", PUSHFORWARD_OP(sigmoid(v)), sigmoid_value},
      {"softplus", PUSHFORWARD_OP(softplus(v)), softplus_value},
      {"erf", PUSHFORWARD_OP(erf(v)), [](double v) { return std::erf(v); }},
      {"erfinv", PUSHFORWARD_OP(erfinv(T(0.9) * tanh(v))),
       [](double v) { return boost::math::erf_inv(0.9 * std::tanh(v)); }},
      {"sqrt", PUSHFORWARD_OP(sqrt(v)), [](double v) { return std::sqrt(v); }, true},
      {"square", PUSHFORWARD_OP(square(v)), [](double v) { return v * v; }},
      {"abs", PUSHFORWARD_OP(abs(v)), [](double v) { return std::abs(v); }},
      {"sin", PUSHFORWARD_OP(sin(v)), [](double v) { return std::sin(v); }},
      {"cos", PUSHFORWARD_OP(cos(v)), [](double v) { return std::cos(v); }},
      {"lgamma", PUSHFORWARD_OP(lgamma(v)), [](double v) { return std::lgamma(v); }, true},
      {"minus", PUSHFORWARD_OP(-v), [](double v) { return -v; }},
      {"scale_shift", PUSHFORWARD_OP(scale_shift(v, T(-1.5), T(0.7))), [](double v) { return -1.5 * v + 0.7; }},
      {"plus number", PUSHFORWARD_OP(v + T(0.3)), [](double v) { return v + 0.3; }},
      {"number plus", PUSHFORWARD_OP(T(0.3) + v), [](double v) { return v + 0.3; }},
      {"minus number", PUSHFORWARD_OP(v - T(0.3)), [](double v) { return v - 0.3; }},
      {"number minus", PUSHFORWARD_OP(T(0.3) - v), [](double v) { return 0.3 - v; }},
      {"times number", PUSHFORWARD_OP(v * T(0.3)), [](double v) { return v * 0.3; }},
      {"number times", PUSHFORWARD_OP(T(0.3) * v), [](double v) { return v * 0.3; }},
      {"divided by number", PUSHFORWARD_OP(v / T(0.3)), [](double v) { return v / 0.3; }},
      {"soft_bound", PUSHFORWARD_OP(soft_bound(v, T(1.5))), [](double v) { return 1.5 * std::tanh(v / 1.5); }},
      {"identity", act<double>(Activation::identity), act<float>(Activation::identity), [](double v) { return v; }},
      {"relu", act<double>(Activation::relu), act<float>(Activation::relu), [](double v) { return std::max(v, 0.0); }},
      {"leaky_relu", act<double>(Activation::leaky_relu), act<float>(Activation::leaky_relu),
       [](double v) { return v > 0 ? v : 0.01 * v; }},
      {"elu", act<double>(Activation::elu), act<float>(Activation::elu),
       [](double v) { return v > 0 ? v : std::expm1(v); }},
      {"gelu", act<double>(Activation::gelu), act<float>(Activation::gelu),
       [](double v) { return v * 0.5 * std::erfc(-v / std::sqrt(2.0)); }},
      {"silu", act<double>(Activation::silu), act<float>(Activation::silu),
       [](double v) { return v * sigmoid_value(v); }},
      {"tanh activation", act<double>(Activation::tanh), act<float>(Activation::tanh),
       [](double v) { return std::tanh(v); }},
      {"sigmoid activation", act<double>(Activation::sigmoid), act<float>(Activation::sigmoid), sigmoid_value},
      {"softplus activation", act<double>(Activation::softplus), act<float>(Activation::softplus), softplus_value},
  };
}

}  // namespace

TEST_CASE("Elementwise functions: values, gradients, twice the same input, shared inputs, slices", "[ops]") {
  for (const Unary& op : unary_operations()) {
    DYNAMIC_SECTION(op.name) {
      const Matrix<double> x = numbers(19, 4, 11, op.positive);
      const Matrix<double> expected = x.unaryExpr(op.value);
      check_close(values<double>(x, [&](auto&, Var<double> v) { return op.f64(v); }), expected, 1e-14);
      check_close(values<float>(x, [&](auto&, Var<float> v) { return op.f32(v); }),
                  x.cast<float>().cast<double>().unaryExpr(op.value), 2e-6);
      check_gradients([&](Pass<double>& pass, Var<double> v) { return random_projection(pass, op.f64(v), 1); }, x, {});
      // Used twice, and on a slice: gradients add up.
      check_gradients(
          [&](Pass<double>& pass, Var<double> v) {
            const Var<double> y = op.f64(v);
            return random_projection(pass, y, 1) + random_projection(pass, op.f64(v) * y, 2) +
                   random_projection(pass, op.f64(columns(v, 1, 2)), 3);
          },
          x, {});
      // Of parameters: shared rows and matrices.
      Tensor<double> row = tensor({4}, 12, op.positive), matrix = tensor({3, 4}, 13, op.positive);
      const Matrix<double> shared =
          values<double>(x, [&](auto& tape, Var<double>) { return op.f64(tape.parameter(matrix)); });
      for (Index i = 0; i < 3; ++i)
        for (Index c = 0; c < 4; ++c) CHECK(shared(i, c) == Approx(op.value(matrix(i, c))).epsilon(1e-13));
      check_gradients(
          [&](Pass<double>& pass, Var<double> v) {
            return random_projection(pass, v * op.f64(pass.parameter(row)), 4) +
                   random_projection(pass, op.f64(pass.parameter(matrix)), 5) +
                   random_projection(pass, op.f64(pass.parameter(row)), 6);
          },
          x, {{"row", &row}, {"matrix", &matrix}});
    }
  }
}

TEST_CASE("A kernel's scratch is the same memory each time, and nobody else's after a release", "[ops]") {
  Arena batch, local;
  Tape<double> tape(Tape<double>::Mode::evaluate, {batch, local}, 16);
  void* const first = tape.workspace(1000);
  CHECK(tape.workspace(500) == first);
  CHECK(tape.workspace(1000) == first);
  const Tape<double>::Mark mark = tape.mark();
  Var<double> x = tape.matrix(2, false);
  for (Index c = 0; c < 2; ++c) std::fill_n(tape.value(x, c), 16, 3.0);
  static_cast<void>(tape.workspace(50000));  // above the mark
  Column<double> none;
  tape.release(mark, x, none);
  std::span<double> kept(tape.scratch<double>(5000), 5000);
  std::fill(kept.begin(), kept.end(), 7.0);
  std::memset(tape.workspace(50000), 0xff, 50000);
  CHECK(std::all_of(kept.begin(), kept.end(), [](double v) { return v == 7; }));
  for (Index c = 0; c < 2; ++c) CHECK(tape.value(x, c)[15] == 3);
}

TEST_CASE("An activation in place is the same function", "[ops]") {
  const Matrix<double> x = numbers(37, 3, 21);
  Tensor<double> weight = tensor({5, 3}, 22), bias = tensor({5}, 23);
  for (const Activation a :
       {Activation::identity, Activation::relu, Activation::leaky_relu, Activation::elu, Activation::gelu,
        Activation::silu, Activation::tanh, Activation::sigmoid, Activation::softplus}) {
    CAPTURE(static_cast<int>(a));
    const auto hidden = [&](auto& pass, Var<double> v) {
      return linear(v, pass.parameter(weight), pass.parameter(bias));
    };
    CHECK(values<double>(x, [&](auto& tape, auto v) { return activation_in_place(a, hidden(tape, v)); }) ==
          values<double>(x, [&](auto& tape, auto v) { return activation(a, hidden(tape, v)); }));
    // Used twice, through a block of columns too.
    check_gradients(
        [&](Pass<double>& pass, Var<double> v) {
          const Var<double> y = activation_in_place(a, hidden(pass, v));
          return random_projection(pass, y * y, 1) + random_projection(pass, columns(y, 1, 2), 2);
        },
        x, {{"weight", &weight}, {"bias", &bias}});
  }
}

// -------------------------------------------------------------------------------------------------------- arithmetic

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

TEST_CASE("erfinv to the ends of its range", "[ops]") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  Matrix<double> x(9, 1);
  x << -1, -0.5, 0, 1e-300, 0.3, 0.97, 1, 1.5, std::nextafter(1.0, 0.0);
  Matrix<double> y = values<double>(x, [](auto&, auto v) { return erfinv(v); });
  CHECK(y(0, 0) == -inf);
  CHECK(y(2, 0) == 0);
  CHECK(y(6, 0) == inf);
  CHECK(std::isnan(y(7, 0)));
  for (const Index i : {1, 3, 4, 5, 8})
    CHECK(y(i, 0) == Approx(boost::math::erf_inv(x(i, 0))).epsilon(1e-15).margin(0));
  // d erfinv(x) / dx = sqrt(pi) / 2 exp(erfinv(x)^2); and through erf and back the identity.
  x << -0.99, -0.95, -0.5, -0.1, 0, 0.2, 0.7, 0.94, 0.97;
  check_gradients([](Pass<double>&, Var<double> v) { return row_sum(erfinv(v)); }, x, {});
  y = values<double>(x, [](auto&, auto v) { return erf(erfinv(v)); });
  check_close(y, x, 1e-15);
}

TEST_CASE("lgamma of negative numbers", "[ops]") {
  // log |Gamma(-1/2)| = log(2 sqrt(pi)), digamma(-1/2) = 2 - gamma - 2 log 2
  Matrix<double> x(1, 1);
  x << -0.5;
  CHECK(values<double>(x, [](auto&, auto v) { return lgamma(v); })(0, 0) == Approx(1.2655121234846454).epsilon(1e-14));
  check_gradients([](Pass<double>&, Var<double> v) { return row_sum(lgamma(v)); }, x, {});
}

TEST_CASE("The padding of parameters' gradients stays zero, whatever the function is at zero", "[ops]") {
  const Tensor<double> parameter = tensor({3}, 17, true);
  const std::vector<const Tensor<double>*> list{&parameter};
  for (const Unary& op : unary_operations()) {
    INFO(op.name);
    Gradients<double> gradients{std::span<const Tensor<double>* const>(list)};
    Workspace memory;
    Tape<double> tape(Tape<double>::Mode::record, {memory.batch, memory.local}, 2);
    tape.set_gradients(&gradients);
    const Var<double> p = tape.parameter(parameter);
    const Var<double> y = op.f64(p) / p + shared_columns(p, 0, 3) / shared_columns(p, 0, 3);
    const std::vector<double> seed(2, 1.0);
    tape.backward(row_sum(y), seed.data());
    for (std::size_t i = 0; i < gradients.values().size(); ++i) {
      INFO("value " << i);
      if (i < 3)
        CHECK(std::isfinite(gradients.values()[i]));
      else
        CHECK(gradients.values()[i] == 0);
    }
    for (Index i = 3; i < 16; ++i) CHECK(shared_columns(p, 0, 3).node()->value[i] == 0);
  }
}

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

// -------------------------------------------------------------------------------------------------------- linear maps

TEST_CASE("Linear maps: dense, by prefixes, and in pieces", "[ops]") {
  const Index n = 37, inputs = 5, outputs = 21;
  const Matrix<double> x = numbers(n, inputs, 41);
  Tensor<double> weight = tensor({outputs, inputs}, 42), bias = tensor({outputs}, 43);
  Matrix<double> expected(n, outputs);
  for (Index i = 0; i < n; ++i)
    for (Index o = 0; o < outputs; ++o) {
      expected(i, o) = bias[o];
      for (Index k = 0; k < inputs; ++k) expected(i, o) += x(i, k) * weight(o, k);
    }
  check_close(values<double>(x, [&](auto& t, auto v) { return linear(v, t.parameter(weight), t.parameter(bias)); }),
              expected, 1e-13);
  const Tensor<float> weight32 = cast_tensor<float>(weight), bias32 = cast_tensor<float>(bias);
  check_close(values<float>(x, [&](auto& t, auto v) { return linear(v, t.parameter(weight32), t.parameter(bias32)); }),
              expected, 1e-5);
  Matrix<double> without = expected;
  for (Index o = 0; o < outputs; ++o) without.col(o).array() -= bias[o];
  check_close(values<double>(x, [&](auto& t, auto v) { return linear(v, t.parameter(weight), Var<double>()); }),
              without, 1e-13);

  check_gradients(
      [&](Pass<double>& p, Var<double> v) {
        return random_projection(p, linear(square(v), p.parameter(weight), p.parameter(bias)), 1);
      },
      x, {{"weight", &weight}, {"bias", &bias}}, {.entries = 200});
  check_gradients([&](Pass<double>& p,
                      Var<double> v) { return random_projection(p, linear(v, p.parameter(weight), Var<double>()), 1); },
                  x, {{"weight", &weight}});
  // Parameters of which only some are learned, and an input without gradient.
  check_gradients(
      [&](Pass<double>& p, Var<double> v) {
        return random_projection(p, linear(v, p.parameter(weight), p.parameter(bias)), 1);
      },
      x, {{"bias", &bias}});
  check_gradients(
      [&](Pass<double>& p, Var<double>) {
        return random_projection(p, linear(p.normal(inputs), p.parameter(weight), p.parameter(bias)), 1);
      },
      Matrix<double>(n, 0), {{"weight", &weight}, {"bias", &bias}});
  for (const bool with_bias : {true, false}) {
    const NamedTensor learned = with_bias ? NamedTensor{"bias", &bias} : NamedTensor{"weight", &weight};
    check_gradients(
        [&](Pass<double>& p, Var<double>) {
          const Var<double> b = with_bias ? p.parameter(bias) : Var<double>();
          return random_projection(p, linear(p.normal(inputs), p.parameter(weight), b), 1);
        },
        Matrix<double>(n, 0), {learned});
  }
  // The same weights twice.
  check_gradients(
      [&](Pass<double>& p, Var<double> v) {
        const Var<double> w = p.parameter(weight), b = p.parameter(bias);
        return random_projection(p, linear(v, w, b) * linear(square(v), w, b), 1);
      },
      x, {{"weight", &weight}, {"bias", &bias}});

  // Staircase: output o reads prefix[o] inputs.
  std::vector<Index> prefix, offset;
  Index size = 0;
  for (Index o = 0; o < outputs; ++o) {
    prefix.push_back(std::min(inputs, o / 4));
    offset.push_back(size);
    size += prefix.back();
  }
  const LinearLayout layout{prefix, offset};
  Tensor<double> packed = tensor({size}, 44);
  for (Index i = 0; i < n; ++i)
    for (Index o = 0; o < outputs; ++o) {
      const std::size_t s = static_cast<std::size_t>(o);
      expected(i, o) = bias[o];
      for (Index k = 0; k < prefix[s]; ++k) expected(i, o) += x(i, k) * packed[offset[s] + k];
    }
  check_close(
      values<double>(x, [&](auto& t, auto v) { return linear(v, t.parameter(packed), t.parameter(bias), layout); }),
      expected, 1e-13);
  check_gradients(
      [&](Pass<double>& p, Var<double> v) {
        return random_projection(p, linear(v, p.parameter(packed), p.parameter(bias), layout), 1);
      },
      x, {{"packed", &packed}, {"bias", &bias}}, {.entries = 100});
  // In pieces, each from the inputs that it reads.
  const auto pieces = [&](Pass<double>* pass, Tape<double>& t, Var<double> v) {
    const Var<double> y = t.matrix(outputs, pass != nullptr);
    for (Index begin = 0; begin < outputs; begin += 5) {
      const Index count = std::min<Index>(5, outputs - begin);
      linear_into(columns(y, begin, count), columns(v, 0, prefix[static_cast<std::size_t>(begin + count - 1)]),
                  t.parameter(packed), t.parameter(bias), layout, begin);
    }
    return y;
  };
  check_close(values<double>(x, [&](auto& t, auto v) { return pieces(nullptr, t, v); }), expected, 1e-13);
  check_gradients([&](Pass<double>& p, Var<double> v) { return random_projection(p, pieces(&p, p.tape(), v), 1); }, x,
                  {{"packed", &packed}, {"bias", &bias}}, {.entries = 100});
}

TEST_CASE("Triangular products and solutions", "[ops]") {
  const Index n = 19, d = 4;
  const Matrix<double> x = numbers(n, d, 51);
  Tensor<double> m = tensor({d, d}, 52), diagonal = tensor({d}, 53, true);
  for (const bool lower : {true, false})
    for (const bool with_diagonal : {true, false}) {
      INFO("lower " << lower << ", diagonal " << with_diagonal);
      Eigen::MatrixXd a = Eigen::MatrixXd::Identity(d, d);
      for (Index o = 0; o < d; ++o) {
        if (with_diagonal) a(o, o) = diagonal[o];
        for (Index k = 0; k < d; ++k)
          if (lower ? k < o : k > o) a(o, k) = m(o, k);
      }
      const auto diag = [&](auto& t) { return with_diagonal ? t.parameter(diagonal) : Var<double>(); };
      const Matrix<double> product = x * a.transpose();
      const Matrix<double> solution = a.inverse().eval() * x.transpose();
      check_close(
          values<double>(x, [&](auto& t, auto v) { return triangular_multiply(v, t.parameter(m), diag(t), lower); }),
          product, 1e-13);
      check_close(
          values<double>(x, [&](auto& t, auto v) { return triangular_solve(v, t.parameter(m), diag(t), lower); }),
          solution.transpose(), 1e-11);
      const Tensor<float> m32 = cast_tensor<float>(m), diagonal32 = cast_tensor<float>(diagonal);
      check_close(values<float>(x,
                                [&](auto& t, auto v) {
                                  return triangular_solve(v, t.parameter(m32),
                                                          with_diagonal ? t.parameter(diagonal32) : Var<float>(),
                                                          lower);
                                }),
                  solution.transpose(), 2e-4);
      std::vector<NamedTensor> parameters{{"m", &m}};
      if (with_diagonal) parameters.push_back({"diagonal", &diagonal});
      check_gradients(
          [&](Pass<double>& p, Var<double> v) {
            return random_projection(p, triangular_multiply(square(v), p.parameter(m), diag(p.tape()), lower), 1);
          },
          x, parameters);
      check_gradients(
          [&](Pass<double>& p, Var<double> v) {
            return random_projection(p, triangular_solve(square(v), p.parameter(m), diag(p.tape()), lower), 1);
          },
          x, parameters);
      // An input without gradient, and the result used twice.
      check_gradients(
          [&](Pass<double>& p, Var<double>) {
            const Var<double> y = triangular_solve(p.normal(d), p.parameter(m), diag(p.tape()), lower);
            const Var<double> z = triangular_multiply(p.normal(d), p.parameter(m), diag(p.tape()), lower);
            return random_projection(p, y * y, 1) + random_projection(p, z * z, 2);
          },
          Matrix<double>(n, 0), parameters);
    }
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

// ------------------------------------------------------------------------------------------------ batch normalisation

TEST_CASE("Batch normalisation: values, log_det, gradients through both statistics", "[ops]") {
  const Index n = 23, d = 3;
  const double epsilon = 0.1;
  const Matrix<double> y = numbers(n, d, 71).array() * 2 + 5;
  Tensor<double> log_gamma = tensor({d}, 72), beta = tensor({d}, 73);
  for (const bool with_gamma : {true, false})
    for (const bool with_beta : {true, false}) {
      INFO("gamma " << with_gamma << ", beta " << with_beta);
      const auto gamma = [&](auto& t) { return with_gamma ? t.parameter(log_gamma) : Var<double>(); };
      const auto shift = [&](auto& t) { return with_beta ? t.parameter(beta) : Var<double>(); };
      Matrix<double> expected(n, d);
      double log_det = 0;
      for (Index c = 0; c < d; ++c) {
        const double mean = y.col(c).mean(), variance = (y.col(c).array() - mean).square().mean();
        expected.col(c) =
            (y.col(c).array() - mean) / std::sqrt(variance + epsilon) * (with_gamma ? std::exp(log_gamma[c]) : 1.0) +
            (with_beta ? beta[c] : 0.0);
        log_det += (with_gamma ? log_gamma[c] : 0.0) - 0.5 * std::log(variance + epsilon);
      }
      check_close(
          values<double>(y, [&](auto& t, auto v) { return normalize_batch(v, gamma(t), shift(t), epsilon).value; }),
          expected, 1e-12);
      check_close(
          column_values(y, [&](auto& t, auto v) { return normalize_batch(v, gamma(t), shift(t), epsilon).log_det; }),
          Eigen::VectorXd::Constant(n, log_det), 1e-12);
      std::vector<NamedTensor> parameters;
      if (with_gamma) parameters.push_back({"log_gamma", &log_gamma});
      if (with_beta) parameters.push_back({"beta", &beta});
      const auto f = [&](bool value, bool log) {
        return [&, value, log](Pass<double>& p, Var<double> v) {
          const NormalizedBatch<double> r = normalize_batch(v, gamma(p.tape()), shift(p.tape()), epsilon);
          Column<double> sum;
          if (value) sum = random_projection(p, square(r.value), 1);
          if (log) sum = sum + random_projection(p, r.log_det, 2);
          return sum;
        };
      };
      check_gradients(f(true, true), y, parameters, {.rows_couple = true});
      check_gradients(f(true, false), y, parameters, {.rows_couple = true});
      check_gradients(f(false, true), y,
                      with_gamma ? std::vector<NamedTensor>{{"log_gamma", &log_gamma}} : std::vector<NamedTensor>{},
                      {.rows_couple = true});
    }
}

TEST_CASE("Batch normalisation: ghost batches, shared channels, weights, corrections", "[ops]") {
  const Index n = 23, d = 4;
  const double epsilon = 0.1;
  const Matrix<double> y = numbers(n, d, 71).array() * 2 + 5;
  Matrix<double> weights = numbers(n, 1, 74, true);
  weights(3, 0) = 0;
  const std::vector<Index> channel{0, 1, 0, 1};
  for (const bool shared : {false, true})
    for (const Index ghost_rows : {0, 5})
      for (const bool weighted : {false, true})
        for (const bool bessel : {false, true}) {
          if (weighted && bessel) continue;
          INFO("shared " << shared << ", ghost rows " << ghost_rows << ", weighted " << weighted << ", bessel "
                         << bessel);
          const Index channels = shared ? 2 : 4, ghosts = ghost_rows ? 4 : 1;
          Tensor<double> gamma = tensor({channels}, 72), beta = tensor({channels}, 73);
          const Matrix<double> r = numbers(ghosts * channels, 1, 75, true), shift = numbers(ghosts * channels, 1, 76);
          const auto apply = [&](Tape<double>& t, Var<double> v) {
            BatchGroups<double> groups;
            if (shared) groups.channel = channel, groups.channels = 2;
            groups.ghost_rows = ghost_rows;
            if (weighted) groups.weights = load<double>(t, weights, false);
            return batch_normalize(v, groups, batch_moments(v, groups), t.parameter(gamma), t.parameter(beta), epsilon,
                                   {r.data(), shift.data()}, bessel);
          };
          // By plain loops.
          Matrix<double> expected(n, d);
          Eigen::VectorXd log_det = Eigen::VectorXd::Zero(n);
          for (Index i = 0; i < n; ++i)
            for (Index c = 0; c < d; ++c) {
              const Index ghost = ghost_rows ? std::min<Index>(i / 5, 3) : 0;
              const Index begin = ghost_rows ? 5 * ghost : 0, end = ghost_rows && ghost < 3 ? begin + 5 : n;
              const Index k = shared ? c % 2 : c, at = ghost * channels + k;
              double sum = 0, square = 0, count = 0;
              for (const bool second : {false, true})
                for (Index j = begin; j < end; ++j)
                  for (Index e = 0; e < d; ++e) {
                    if ((shared ? e % 2 : e) != k) continue;
                    const double w = weighted ? weights(j, 0) : 1;
                    if (second)
                      square += w * (y(j, e) - sum / count) * (y(j, e) - sum / count);
                    else
                      sum += w * y(j, e), count += w;
                  }
              const double variance = square / (bessel ? count - 1 : count) + epsilon;
              expected(i, c) =
                  gamma[k] * ((y(i, c) - sum / count) / std::sqrt(variance) * r(at, 0) + shift(at, 0)) + beta[k];
              log_det[i] += std::log(r(at, 0)) - 0.5 * std::log(variance);
            }
          check_close(values<double>(y, [&](auto& t, auto v) { return apply(t, v).value; }), expected, 1e-12);
          check_close(column_values(y, [&](auto& t, auto v) { return apply(t, v).log_det; }), log_det, 1e-12);
          check_gradients(
              [&](Pass<double>& p, Var<double> v) {
                const NormalizedBatch<double> b = apply(p.tape(), v);
                return random_projection(p, square(b.value), 1) + random_projection(p, b.log_det, 2);
              },
              y, {{"gamma", &gamma}, {"beta", &beta}}, {.rows_couple = true});
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
