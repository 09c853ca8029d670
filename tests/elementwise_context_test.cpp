// Elementwise with parameters that are given, or from the context.

#include <cmath>
#include <numbers>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/nn/constant.hpp>
#include <pushforward/nn/mlp.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <pushforward/training/fit.hpp>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Mean and logarithm of the scale of two columns, linear in one column of context.
Elementwise<double> linear_map() {
  return Elementwise(AffineTransformer<double>(), 2, Mlp<double>(1, 4, {.hidden = {}, .final_scale = 1, .seed = 8}));
}

Matrix<double> normal_rows(Index rows, Index cols, std::uint64_t seed) {
  Engine engine(seed);
  return Normal<double>(cols).sample(rows, engine);
}

}  // namespace

TEST_CASE("A network that ignores the context makes parameters of the columns' own", "[scalar]") {
  const RationalQuadraticTransformer<double> spline({.bins = 4});
  Elementwise<double> own(spline, 2), computed(spline, 2, Constant<double>(3, 2 * spline.multiplier()));
  testing::perturb<double>(own, 4);
  list_state<double>(static_cast<Component<double>&>(computed)).front().tensor->operator=(own.raw());
  CHECK(computed.context_dim() == 3);
  CHECK(computed.raw().size() == 0);
  CHECK(own.net() == nullptr);
  const Matrix<double> x = normal_rows(50, 2, 1), context = normal_rows(50, 3, 2);
  for (const bool forward : {true, false}) {
    const MappedRows<double> a = forward ? own.forward(x) : own.inverse(x);
    const MappedRows<double> b = forward ? computed.forward(x, context) : computed.inverse(x, context);
    CHECK(a.value == b.value);
    CHECK(a.log_det == b.log_det);
  }
}

TEST_CASE("Affine maps from the context make a conditional normal distribution", "[scalar]") {
  const TransformedDistribution<double> d(Normal<double>(2), linear_map());
  const auto slots = list_state<double>(static_cast<const Component<double>&>(d.bijector()));
  REQUIRE(slots.size() == 2);
  const Tensor<double>&weight = *slots[0].tensor, &bias = *slots[1].tensor;
  const Matrix<double> y = normal_rows(20, 2, 3), c = normal_rows(20, 1, 4);
  const Eigen::VectorXd log_prob = d.log_prob(y, c);
  for (Index i = 0; i < y.rows(); ++i) {
    double expected = -std::log(2 * std::numbers::pi);
    for (Index k = 0; k < 2; ++k) {
      const double mean = weight[k] * c(i, 0) + bias[k], raw = weight[2 + k] * c(i, 0) + bias[2 + k];
      const double s = 5 * std::tanh(raw / 5), u = (y(i, k) - mean) / std::exp(s);
      expected -= 0.5 * u * u + s;
    }
    CHECK(log_prob[i] == Approx(expected).epsilon(1e-13));
  }
  // One row of context for all.
  const Matrix<double> one = c.topRows(1);
  CHECK(d.log_prob(y, one)[0] == log_prob[0]);
}

TEST_CASE("The network of an elementwise map trains, saves, loads and casts", "[scalar]") {
  // y_0 = 2 c + exp(c / 2) u, y_1 = -c + u / 2.
  const Matrix<double> c = normal_rows(4000, 1, 5), u = normal_rows(4000, 2, 6);
  Matrix<double> y(4000, 2);
  double truth = 0;
  for (Index i = 0; i < y.rows(); ++i) {
    y(i, 0) = 2 * c(i, 0) + std::exp(c(i, 0) / 2) * u(i, 0);
    y(i, 1) = -c(i, 0) + u(i, 1) / 2;
    truth -= (0.5 * u.row(i).squaredNorm() + std::log(2 * std::numbers::pi) + c(i, 0) / 2 - std::log(2.0)) / 4000;
  }
  TransformedDistribution<double> d(Normal<double>(2), linear_map());
  fit(d, y, {.epochs = 40, .batch_size = 200, .learning_rate = 0.02, .context = c});
  const double mean = d.log_prob(y, c).mean();
  CHECK(mean > truth - 0.02);
  CHECK(mean < truth + 0.02);
  const auto loaded = load<double>(serialize(d), "memory");
  CHECK(loaded.distribution->log_prob(y, c) == d.log_prob(y, c));
  const Matrix<float> y_float = y.cast<float>(), c_float = c.cast<float>();
  CHECK(cast<float>(d)->log_prob(y_float, c_float).mean() == Approx(mean).epsilon(1e-4));
  Engine engine(9);
  Matrix<double> at(1, 1);
  at << 1.5;
  const Matrix<double> drawn = d.sample(20'000, engine, at);
  CHECK(drawn.col(0).mean() == Approx(3).margin(0.2));
  CHECK(drawn.col(1).mean() == Approx(-1.5).margin(0.1));
}

TEST_CASE("Given parameters stay what they are", "[scalar]") {
  const std::vector<double> raw{0.5, -1, 0.2, 0.3};
  TransformedDistribution<double> d(Normal<double>(2), Elementwise<double>(AffineTransformer<double>(), 2, raw));
  CHECK(count_parameters(d.bijector()) == 0);
  const Matrix<double> y = normal_rows(300, 2, 10);
  fit(d, y, {.epochs = 2});
  auto loaded = load<double>(serialize(d), "memory");
  fit(*loaded.distribution, y, {.epochs = 2});
  const auto kept = [](const Component<double>& model) {
    for (const ConstSlot<double>& slot : list_state(model))
      if (slot.path == "bijector.raw")
        return std::vector<double>(slot.tensor->values().begin(), slot.tensor->values().end());
    return std::vector<double>();
  };
  CHECK(kept(d) == raw);
  CHECK(kept(*loaded.distribution) == raw);
  CHECK_THROWS_WITH(Elementwise<double>(AffineTransformer<double>(), 1, {0.5, std::nan("")}),
                    ContainsSubstring("parameters must be finite, got nan at 1"));
  CHECK_THROWS_WITH(Elementwise<double>(AffineTransformer<double>(), 3, raw),
                    ContainsSubstring("needs 6 parameters for 3 columns, got 4"));
}

TEST_CASE("A network that does not fit, and a context that is missing, are errors", "[scalar]") {
  const AffineTransformer<double> affine;
  CHECK_THROWS_WITH(Elementwise<double>(affine, 3, Mlp<double>(2, 5, {.hidden = {4}})),
                    ContainsSubstring("to 6 parameters, got one to 5"));
  CHECK_THROWS_WITH(Elementwise<double>(affine, 3, Mlp<double>(2, 6, {.hidden = {4}, .context_dim = 1})),
                    ContainsSubstring("a context of 1 columns beside its inputs"));
  const Elementwise<double> map = linear_map();
  const Matrix<double> x = normal_rows(4, 2, 7);
  CHECK_THROWS_WITH(map.forward(x), ContainsSubstring("expected a context"));
  CHECK_THROWS_WITH(map.inverse(x, normal_rows(4, 2, 8)), ContainsSubstring("expected a context"));
  CHECK_THROWS_AS(map.forward_log_det_jacobian(x), ShapeError);
  const Tensor<double> flat({4, 2}, 0.5);
  CHECK_THROWS_AS(map.forward_log_det_jacobian(TensorView<const double>(flat.data(), {4, 2}), 0), ShapeError);
}
