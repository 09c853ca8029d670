// Elementwise operations: values, gradients, accumulation, slices, float against double.

#include <algorithm>
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <pushforward/ops.hpp>
#include <span>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/ops.hpp"
#include "src/core/evaluate.hpp"
#include "src/training/step.hpp"

using namespace pushforward;
using namespace pushforward::testing;
using namespace ops_tests;

namespace {

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
      {"atan", PUSHFORWARD_OP(atan(v)), [](double v) { return std::atan(v); }},
      {"asinh", PUSHFORWARD_OP(asinh(v)), [](double v) { return std::asinh(v); }},
      {"log_ndtr", PUSHFORWARD_OP(log_ndtr(v)), [](double v) { return std::log(0.5 * std::erfc(-v / std::sqrt(2.0))); }},
      {"ndtri_exp", PUSHFORWARD_OP(ndtri_exp(-softplus(v))),
       [](double v) { return std::sqrt(2.0) * boost::math::erf_inv(2 * std::exp(-softplus_value(v)) - 1); }},
      {"lambert_w", PUSHFORWARD_OP(lambert_w(v)),
       [](double v) {
         double w = std::log1p(v);
         for (int k = 0; k < 50; ++k) w -= (w - v * std::exp(-w)) / (1 + w);
         return w;
       },
       true},
      {"clip, inside", PUSHFORWARD_OP(clip(v, T(-50), T(50))), [](double v) { return v; }},
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
