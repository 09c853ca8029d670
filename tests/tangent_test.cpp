// Tangents: J v of every network and activation against differences and against reverse mode, gradients through it, the
// second derivatives of activations, and the same bits on any number of threads.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <pushforward/bijector.hpp>
#include <pushforward/error.hpp>
#include <pushforward/execution.hpp>
#include <pushforward/nn/balanced_scales.hpp>
#include <pushforward/nn/constant.hpp>
#include <pushforward/nn/made.hpp>
#include <pushforward/nn/mlp.hpp>
#include <pushforward/nn/periodic_features.hpp>
#include <pushforward/nn/residual_network.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <span>
#include <string>
#include <vector>

#include "src/core/evaluate.hpp"
#include "src/kernels/kernels.hpp"
#include "src/training/step.hpp"
#include "tests/catch.hpp"

using namespace pushforward;
using namespace pushforward::testing;
using Catch::Matchers::ContainsSubstring;
using pushforward::detail::load;

namespace {

const std::vector<Activation> activations{
    Activation::identity, Activation::relu, Activation::leaky_relu, Activation::elu,     Activation::gelu,
    Activation::silu,     Activation::tanh, Activation::sigmoid,    Activation::softplus};

Matrix<double> numbers(Index rows, Index cols, std::uint64_t seed) {
  Matrix<double> m(rows, cols);
  if (m.size() > 0) Engine(seed).next_call().normal(0, rows, cols, m.data(), rows);
  return m;
}

template <Scalar T>
struct Case {
  std::string name;
  Poly<Network<T>> net;
};

/// Every network in each of its forms, with one activation; parameters far from their start, so that each matters.
template <Scalar T>
std::vector<Case<T>> networks(Activation a) {
  std::vector<Case<T>> cases;
  const auto add = [&](const std::string& name, Poly<Network<T>> net) {
    perturb(*net, 11 + cases.size(), 0.4);
    cases.push_back({name + " with " + activation_name(a), std::move(net)});
  };
  add("Constant", Constant<T>(3, 4));
  add("Mlp", Mlp<T>(3, 4, {.hidden = {5, 6}, .activation = a, .final_scale = 1}));
  add("Mlp without hidden layers", Mlp<T>(3, 4, {.hidden = {}, .activation = a}));
  add("Mlp, context", Mlp<T>(3, 4, {.hidden = {7}, .activation = a, .context_dim = 2, .final_scale = 1}));
  add("Mlp, batch norm", Mlp<T>(3, 4, {.hidden = {5, 6}, .activation = a, .batch_norm = true}));
  add("ResidualNetwork", ResidualNetwork<T>(3, 4, {.hidden = 5, .blocks = 2, .activation = a, .final_scale = 1}));
  add("ResidualNetwork, context and batch norm",
      ResidualNetwork<T>(3, 4, {.hidden = 5, .blocks = 2, .activation = a, .context_dim = 2, .batch_norm = true}));
  add("Made, residual", Made<T>(3, 2, {.hidden = 7, .blocks = 2, .activation = a, .final_scale = 1}));
  add("Made, residual, context", Made<T>(3, 2, {.hidden = 7, .blocks = 1, .activation = a, .context_dim = 2}));
  add("Made, plain", Made<T>(3, 2, {.hidden = 7, .blocks = 2, .residual = false, .activation = a, .final_scale = 1}));
  add("Made, plain, context, random degrees",
      Made<T>(3, 2, {.hidden = 7, .blocks = 1, .residual = false, .activation = a, .context_dim = 2,
                     .random_degrees = true}));
  add("PeriodicFeatures", PeriodicFeatures<T>(Mlp<T>(6, 4, {.hidden = {5}, .activation = a, .final_scale = 1}), -2, 3));
  add("BalancedScales, context",
      BalancedScales<T>(Mlp<T>(3, 6, {.hidden = {5}, .activation = a, .context_dim = 2, .final_scale = 1}), 1.5));
  add("Made of one column", Made<T>(1, 3, {.hidden = 4, .blocks = 1, .activation = a}));
  return cases;
}

Matrix<double> context_for(Index rows, Index cols) { return numbers(rows, cols, 5); }

template <Scalar T>
Matrix<double> read(Tape<T>& tape, Var<T> v) {
  Matrix<double> m(tape.rows(), v.cols());
  for (Index c = 0; c < m.cols(); ++c)
    for (Index i = 0; i < m.rows(); ++i) m(i, c) = static_cast<double>(tape.value(v, c)[i]);
  return m;
}

struct Values {
  Matrix<double> value, tangent;
};

/// f(pass, x, v) on a tape that records nothing.
template <Scalar T, class F>
Values evaluate(const Matrix<double>& x, const Matrix<double>& v, const Matrix<double>& context, const F& f,
                typename Pass<T>::Settings settings = {}) {
  Workspace memory;
  Tape<T> tape(Tape<T>::Mode::evaluate, {memory.batch, memory.local}, x.rows());
  const Matrix<T> in = x.cast<T>(), direction = v.cast<T>(), given = context.cast<T>();
  if (context.cols() > 0) settings.context = load<T>(tape, given, false);
  Pass<T> pass(tape, settings);
  const Dual<T> y = f(pass, load<T>(tape, in, false), load<T>(tape, direction, false));
  return {read(tape, y.value), y.tangent ? read(tape, y.tangent) : Matrix<double>()};
}

template <Scalar T>
Values tangent_of(const Network<T>& net, const Matrix<double>& x, const Matrix<double>& v,
                  const Matrix<double>& context, typename Pass<T>::Settings settings = {}) {
  return evaluate<T>(
      x, v, context, [&](Pass<T>& pass, Var<T> in, Var<T> d) { return net.tangent(pass, in, d); }, settings);
}
template <Scalar T>
Matrix<double> value_of(const Network<T>& net, const Matrix<double>& x, const Matrix<double>& context,
                        typename Pass<T>::Settings settings = {}) {
  return evaluate<T>(
             x, x, context, [&](Pass<T>& pass, Var<T> in, Var<T>) { return Dual<T>{net(pass, in), {}}; }, settings)
      .value;
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

/// The tensors of one network into another of the same form.
template <Scalar To, Scalar From>
void copy_state(Network<To>& to, const Network<From>& from) {
  const auto source = list_state(from);
  const auto target = list_state(to);
  REQUIRE(source.size() == target.size());
  for (std::size_t i = 0; i < source.size(); ++i)
    std::transform(source[i].tensor->values().begin(), source[i].tensor->values().end(), target[i].tensor->data(),
                   [](From v) { return static_cast<To>(v); });
}

/// u^T J v of each row, by reverse mode: J^T u from a backward pass, times v.
Eigen::VectorXd reverse_products(const Network<double>& net, const Matrix<double>& x, const Matrix<double>& v,
                                 const Matrix<double>& u, const Matrix<double>& context) {
  Workspace memory;
  Tape<double> tape(Tape<double>::Mode::record, {memory.batch, memory.local}, x.rows());
  Pass<double>::Settings settings;
  if (context.cols() > 0) settings.context = load<double>(tape, context, false);
  Pass<double> pass(tape, settings);
  const Var<double> in = load<double>(tape, x, true);
  const Column<double> loss = row_sum(net(pass, in) * load<double>(tape, u, false));
  const std::vector<double> ones(static_cast<std::size_t>(x.rows()), 1.0);
  tape.backward(loss, ones.data());
  Eigen::VectorXd products = Eigen::VectorXd::Zero(x.rows());
  if (Tape<double>::has_gradient(in))
    for (Index c = 0; c < x.cols(); ++c)
      for (Index i = 0; i < x.rows(); ++i) products[i] += tape.gradient(in, c)[i] * v(i, c);
  return products;
}

}  // namespace

TEMPLATE_TEST_CASE("J v of every network against central differences, the value unchanged", "[tangent]", float,
                   double) {
  using T = TestType;
  const Index rows = 19;
  for (const Activation a : activations) {
    const std::vector<Case<T>> own = networks<T>(a);
    std::vector<Case<double>> exact = networks<double>(a);
    for (std::size_t k = 0; k < own.size(); ++k) {
      INFO(own[k].name);
      copy_state(*exact[k].net, *own[k].net);
      const Network<T>& net = *own[k].net;
      // Numbers of T, so that both networks see the same.
      const Matrix<double> x = numbers(rows, net.inputs(), 1).template cast<T>().template cast<double>();
      const Matrix<double> v = numbers(rows, net.inputs(), 2).template cast<T>().template cast<double>();
      const Matrix<double> context =
          context_for(rows, net.context_dim()).template cast<T>().template cast<double>();
      const Values got = tangent_of(net, x, v, context);
      CHECK((got.value.array() == value_of(net, x, context).array()).all());
      // Differences in double, with two steps: at a kink one of them may fail.
      Matrix<double> best = Matrix<double>::Constant(rows, net.outputs(), 1e300);
      for (const double h : {1e-5, 1e-6}) {
        const Matrix<double> quotient =
            (value_of<double>(*exact[k].net, x + h * v, context) -
             value_of<double>(*exact[k].net, x - h * v, context)) /
            (2 * h);
        for (Index i = 0; i < rows; ++i)
          for (Index c = 0; c < net.outputs(); ++c)
            if (std::abs(quotient(i, c) - got.tangent(i, c)) < std::abs(best(i, c) - got.tangent(i, c)))
              best(i, c) = quotient(i, c);
      }
      check_close(got.tangent, best, sizeof(T) == 4 ? 2e-5 : 1e-8);
      if (own[k].name.rfind("Constant", 0) == 0)
        CHECK(got.tangent.isZero(0));
      else if (net.inputs() > 1)
        CHECK(got.tangent.cwiseAbs().maxCoeff() > 1e-3);
    }
  }
}

TEST_CASE("u^T J v by tangent and by reverse mode", "[tangent]") {
  const Index rows = 37;
  for (const Activation a : activations)
    for (const Case<double>& c : networks<double>(a)) {
      INFO(c.name);
      const Matrix<double> x = numbers(rows, c.net->inputs(), 6), v = numbers(rows, c.net->inputs(), 7);
      const Matrix<double> u = numbers(rows, c.net->outputs(), 8), context = context_for(rows, c.net->context_dim());
      const Eigen::VectorXd forward =
          (tangent_of(*c.net, x, v, context).tangent.array() * u.array()).rowwise().sum();
      check_close(forward, reverse_products(*c.net, x, v, u, context), 1e-10);
    }
}

TEST_CASE("Gradients through the tangent: parameters, x, v and context", "[tangent]") {
  for (const Activation a : activations)
    for (Case<double>& c : networks<double>(a)) {
      INFO(c.name);
      const Index dim = c.net->inputs();
      // x beside v, so that both are differentiated.
      const Matrix<double> in = numbers(9, 2 * dim, 21), context = context_for(9, c.net->context_dim());
      std::vector<NamedTensor> parameters;
      for (const Slot<double>& slot : list_state(*c.net))
        if (slot.kind == StateKind::parameter) parameters.push_back({slot.path, slot.tensor});
      const RowFunction f = [&](Pass<double>& pass, Var<double> xv) {
        const Dual<double> y = c.net->tangent(pass, columns(xv, 0, dim), columns(xv, dim, dim));
        // Products, so that each part's gradient needs the other's value.
        return random_projection(pass, y.tangent, 3) + random_projection(pass, square(y.tangent) * y.value, 4);
      };
      const std::vector<Failure> failures = check_gradient(f, in, context, parameters, {.entries = 12});
      INFO(report(failures));
      CHECK(failures.empty());
    }
}

TEST_CASE("Dropout draws one mask for value and tangent", "[tangent]") {
  const Index rows = 40;
  const std::vector<Poly<Network<double>>> nets{
      Mlp<double>(3, 4, {.hidden = {8, 8}, .activation = Activation::silu, .dropout = 0.5, .final_scale = 1}),
      ResidualNetwork<double>(3, 4, {.hidden = 8, .blocks = 2, .activation = Activation::silu, .dropout = 0.5,
                                     .final_scale = 1}),
      Made<double>(3, 2, {.hidden = 8, .activation = Activation::silu, .dropout = 0.5, .final_scale = 1}),
      Made<double>(3, 2, {.hidden = 8, .residual = false, .activation = Activation::silu, .dropout = 0.5,
                          .final_scale = 1})};
  const RandomCall call = Engine(9).next_call();
  Pass<double>::Settings settings;
  settings.dropout = &call;
  for (const Poly<Network<double>>& owner : nets) {
    Poly<Network<double>> net = owner;
    perturb(*net, 4, 0.3);
    INFO(net->name());
    const Matrix<double> x = numbers(rows, 3, 1), v = numbers(rows, 3, 2);
    const Values got = tangent_of<double>(*net, x, v, {}, settings);
    CHECK((got.value.array() == value_of<double>(*net, x, {}, settings).array()).all());
    CHECK((got.value - value_of<double>(*net, x, {})).cwiseAbs().maxCoeff() > 1e-3);  // it did drop
    const double h = 1e-5;
    check_close(got.tangent,
                (value_of<double>(*net, x + h * v, {}, settings) - value_of<double>(*net, x - h * v, {}, settings)) /
                    (2 * h),
                1e-8);
  }
}

TEST_CASE("Batch statistics have no tangent, captured ones do", "[tangent]") {
  Mlp<double> net(2, 3, {.hidden = {4}, .activation = Activation::tanh, .batch_norm = true, .final_scale = 1});
  perturb(net, 3, 0.3);
  const Matrix<double> x = numbers(12, 2, 1), v = numbers(12, 2, 2);
  for (const Statistics s : {Statistics::minibatch, Statistics::population}) {
    Pass<double>::Settings settings;
    settings.statistics = s;
    CHECK_THROWS_WITH(tangent_of<double>(net, x, v, {}, settings), ContainsSubstring("depends on the others"));
    CHECK_THROWS_AS(tangent_of<double>(net, x, v, {}, settings), NotImplemented);
  }
  CapturedStatistics<double> captured;
  Pass<double>::Settings batch;
  batch.statistics = Statistics::minibatch;
  batch.capture = &captured;
  value_of<double>(net, x, {}, batch);
  REQUIRE(captured.layers.size() == 1);
  Pass<double>::Settings held;
  held.captured = &captured;
  const double h = 1e-5;
  check_close(tangent_of<double>(net, x, v, {}, held).tangent,
              (value_of<double>(net, x + h * v, {}, held) - value_of<double>(net, x - h * v, {}, held)) / (2 * h),
              1e-8);
}

namespace {

class Cube final : public Network<double> {
 public:
  Cube() : Network<double>("Cube", 2, 2, 0) {}

 private:
  Var<double> do_evaluate(Pass<double>&, Var<double> x) const override { return x * square(x); }
  void do_fields(Fields<double>& f) override { f.type("cube"); }
};

}  // namespace

TEST_CASE("What has no tangent or does not fit says so", "[tangent]") {
  const Matrix<double> x = numbers(4, 2, 1);
  CHECK_THROWS_AS(tangent_of<double>(Cube(), x, x, {}), NotImplemented);
  CHECK_THROWS_WITH(tangent_of<double>(Cube(), x, x, {}), ContainsSubstring("Cube::tangent"));
  const Mlp<double> net(2, 1);
  CHECK_THROWS_AS(tangent_of<double>(net, numbers(4, 3, 1), x, {}), ShapeError);
  CHECK_THROWS_WITH(tangent_of<double>(net, x, numbers(4, 3, 1), {}),
                    ContainsSubstring("expected a direction of 2 columns for each row, got 3"));
  const Mlp<double> conditional(2, 1, {.context_dim = 1});
  CHECK_THROWS_WITH(tangent_of<double>(conditional, x, x, {}), ContainsSubstring("expected a context of 1 columns"));
}

// -------------------------------------------------------------------------------------- derivatives of activations

namespace {

using Real = long double;
Real logistic(Real x) { return 1 / (1 + std::exp(-x)); }
Real normal_density(Real x) { return std::exp(-x * x / 2) * 0.398942280401432677939946L; }
Real normal_below(Real x) { return std::erfc(-x * 0.707106781186547524400844L) / 2; }

/// a' and a'' by other formulas than the kernels'.
Real first(Activation a, Real x) {
  const Real s = logistic(x);
  switch (a) {
    case Activation::identity: return 1;
    case Activation::relu: return x > 0 ? 1 : 0;
    case Activation::leaky_relu: return x > 0 ? 1 : 0.01L;
    case Activation::elu: return x > 0 ? 1 : std::exp(x);
    case Activation::gelu: return normal_below(x) + x * normal_density(x);
    case Activation::silu: return s * (1 + x * logistic(-x));
    case Activation::tanh: return 1 / (std::cosh(x) * std::cosh(x));
    case Activation::sigmoid: return s * logistic(-x);
    case Activation::softplus: return s;
  }
  return 0;
}
Real second(Activation a, Real x) {
  const Real s = logistic(x), c = logistic(-x);
  switch (a) {
    case Activation::identity:
    case Activation::relu:
    case Activation::leaky_relu: return 0;
    case Activation::elu: return x > 0 ? 0 : std::exp(x);
    case Activation::gelu: return (2 - x * x) * normal_density(x);
    case Activation::silu: return s * c * (2 - x * std::tanh(x / 2));
    case Activation::tanh: return -2 * std::tanh(x) / (std::cosh(x) * std::cosh(x));
    case Activation::sigmoid: return -s * c * std::tanh(x / 2);
    case Activation::softplus: return s * c;
  }
  return 0;
}

}  // namespace

TEMPLATE_TEST_CASE("First and second derivatives of activations on every instruction set", "[tangent]", float,
                   double) {
  using T = TestType;
  std::vector<T> x{T(0), T(-0.0), T(1e-30), T(-1e-30)};
  for (int i = -400; i <= 400; ++i) x.push_back(T(i) * T(0.0517));
  const auto n = static_cast<Index>(x.size());
  constexpr T eps = std::numeric_limits<T>::epsilon(), infinity = std::numeric_limits<T>::infinity(),
              nan = std::numeric_limits<T>::quiet_NaN();
  for (const kernels::Table<T>* table : kernels::available_tables<T>())
    for (const Activation a : activations) {
      INFO(table->instruction_set << ", " << activation_name(a));
      const kernels::Activation kind = a;
      std::vector<T> d(x.size()), ones(x.size(), T(1)), g(x.size(), T(0));
      table->activation_derivative(kind, x.data(), d.data(), n);
      table->activation_second_backward(kind, x.data(), ones.data(), g.data(), n);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto at = static_cast<Real>(x[i]);
        const Real e1 = first(a, at), e2 = second(a, at);
        INFO("x = " << x[i] << ": " << d[i] << " for " << e1 << ", " << g[i] << " for " << e2);
        // Relative, but for the sums that pass through zero, and the rounding of x^2 / 2 in the tails of the density.
        const Real wide = a == Activation::gelu ? 1 + at * at / 2 : 1;
        CHECK(std::abs(static_cast<Real>(d[i]) - e1) <=
              16 * eps * wide * (std::abs(e1) + (a == Activation::gelu ? std::abs(at) * normal_density(at) : 0) +
                                 (a == Activation::silu ? std::abs(at) * second(Activation::softplus, at) : 0)) +
                  std::numeric_limits<T>::min());
        CHECK(std::abs(static_cast<Real>(g[i]) - e2) <=
              16 * eps * wide * (std::abs(e2) + 2 * second(Activation::softplus, at)) + std::numeric_limits<T>::min());
      }
      // The ends and NaN, with an adjoint that is not one.
      const T ends[4] = {infinity, -infinity, nan, T(0)};
      T slope[4], gx[4] = {T(1), T(1), T(1), T(1)};
      const T gd[4] = {T(2), T(2), T(2), T(2)};
      table->activation_derivative(kind, ends, slope, 4);
      table->activation_second_backward(kind, ends, gd, gx, 4);
      const bool bounded = a == Activation::tanh || a == Activation::sigmoid;
      CHECK(slope[0] == (bounded ? T(0) : T(1)));
      CHECK(slope[1] == (a == Activation::identity ? T(1) : a == Activation::leaky_relu ? T(0.01) : T(0)));
      CHECK(std::isnan(slope[2]));
      CHECK(gx[0] == T(1));
      CHECK(gx[1] == T(1));
      CHECK(std::isnan(gx[2]));
      CHECK(gx[3] == Approx(static_cast<double>(1 + 2 * second(a, 0))));
      if (a == Activation::relu) CHECK(slope[3] == T(0));
    }
}

TEST_CASE("activation_derivative on a tape: values, gradients, shared matrices", "[tangent]") {
  Tensor<double> row({5});
  for (Index i = 0; i < 5; ++i) row[i] = 0.7 * static_cast<double>(i) - 1.3;
  for (const Activation a : activations) {
    INFO(activation_name(a));
    // Away from the kinks, where a difference quotient means nothing.
    const Matrix<double> x = numbers(21, 5, 31).unaryExpr([](double v) { return v + (v < 0 ? -0.01 : 0.01); });
    const RowFunction f = [&](Pass<double>& pass, Var<double> v) {
      return random_projection(pass, activation_derivative(a, v), 1) +
             random_projection(pass, v * activation_derivative(a, pass.parameter(row)), 2);
    };
    const std::vector<Failure> failures = check_gradient(f, x, {}, std::vector<NamedTensor>{{"row", &row}});
    INFO(report(failures));
    CHECK(failures.empty());
  }
}

// ------------------------------------------------------------------------------------------------------------ threads

namespace {

template <Scalar T>
struct Outcome {
  std::vector<T> gradients, tangents;
  bool operator==(const Outcome&) const = default;
};

template <Scalar T>
Outcome<T> on_threads(const Network<T>& net, int threads, Index rows) {
  const Matrix<T> x = numbers(rows, net.inputs(), 81).template cast<T>(),
                  v = numbers(rows, net.inputs(), 82).template cast<T>(),
                  context = context_for(rows, net.context_dim()).template cast<T>();
  std::vector<const Tensor<T>*> list;
  for (const ConstSlot<T>& slot : list_state(net))
    if (slot.kind == StateKind::parameter) list.push_back(slot.tensor);
  Gradients<T> gradients{std::span<const Tensor<T>* const>(list)};
  Outcome<T> outcome;
  outcome.tangents.assign(static_cast<std::size_t>(rows * net.outputs()), T(0));
  const std::vector<double> seed(static_cast<std::size_t>(rows), 1.0);
  Execution execution({.threads = threads});
  execution.run([&](int rank) {
    const auto [begin, end] = pushforward::detail::thread_rows(rows, rank, threads);
    Tape<T> tape(Tape<T>::Mode::record, {execution.common(), execution.local(rank)}, rows, begin, end,
                 &execution.group(), rank);
    tape.set_gradients(&gradients);
    typename Pass<T>::Settings settings;
    if (context.cols() > 0) settings.context = load<T>(tape, context, true);
    Pass<T> pass(tape, settings);
    const Dual<T> y = net.tangent(pass, load<T>(tape, x, true), load<T>(tape, v, true));
    for (Index c = 0; c < net.outputs(); ++c)
      std::copy_n(y.tangent.values(c), end - begin, outcome.tangents.data() + c * rows + begin);
    tape.backward(random_projection(pass, square(y.tangent), 1), seed.data());
  });
  for (const Tensor<T>* t : list)
    outcome.gradients.insert(outcome.gradients.end(), gradients.find(t), gradients.find(t) + t->size());
  return outcome;
}

}  // namespace

TEMPLATE_TEST_CASE("Tangents and gradients through them have the same bits on any number of threads", "[tangent]",
                   float, double) {
  for (const Case<TestType>& c : networks<TestType>(Activation::silu))
    for (const Index rows : {Index(1), Index(40), Index(331)}) {
      const Outcome<TestType> one = on_threads<TestType>(*c.net, 1, rows);
      for (const int threads : {2, 3}) {
        INFO(c.name << ": " << rows << " rows on " << threads << " threads");
        CHECK((on_threads<TestType>(*c.net, threads, rows) == one));
      }
      for (const TestType g : one.gradients) CHECK(std::isfinite(g));
    }
}
