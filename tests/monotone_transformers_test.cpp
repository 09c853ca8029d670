// Transformers whose way from the data to the base is closed, against other libraries
// (tests/oracles/monotone_transformer_oracles .py), their other way, tails, starts and refusals.

#include <cmath>
#include <limits>
#include <pushforward/bijectors/bernstein_transformer.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/gaussianization_transformer.hpp>
#include <pushforward/bijectors/logistic_mixture_transformer.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/bijectors/numerical_inverse.hpp>
#include <pushforward/bijectors/sos_polynomial_transformer.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <pushforward/training/fit.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

/// What bound tanh(raw / bound) makes `value` of.
double raw_of(double value, double bound) { return bound * std::atanh(value / bound); }

Elementwise<double> made_from(const oracle::Json& c) {
  const std::string name = c["class"];
  const oracle::Json& k = c["constants"];
  std::vector<double> raw;
  for (const oracle::Json& v : c["raw"]) raw.push_back(oracle::number(v));
  Poly<Transformer<double>> map = BernsteinTransformer<double>(2);
  if (name == "bernstein") {
    map = BernsteinTransformer<double>(k["degree"], k["bound"].get<double>());
  } else if (name == "sos_polynomial") {
    map = SosPolynomialTransformer<double>(k["degree"], k["polynomials"], k["scale"].get<double>(),
                                           k["slope"].get<double>());
  } else {
    const std::size_t count = k["components"];
    const bool logistic = name == "logistic_mixture";
    for (std::size_t i = logistic ? 2 * count : count; i < raw.size() - logistic; ++i) raw[i] = raw_of(raw[i], 20);
    if (logistic)
      map = LogisticMixtureTransformer<double>(static_cast<Index>(count), 20, 0);
    else
      map = GaussianizationTransformer<double>(static_cast<Index>(count), 20, 0);
  }
  return {NumericalInverse<double>(map), 1, VectorView<const double>(raw)};
}

std::vector<Poly<Transformer<double>>> all() {
  return {NumericalInverse<double>(LogisticMixtureTransformer<double>(4)),
          NumericalInverse<double>(GaussianizationTransformer<double>(4)),
          NumericalInverse<double>(BernsteinTransformer<double>(6)),
          NumericalInverse<double>(SosPolynomialTransformer<double>(3, 2, 6, 0.01))};
}

Matrix<double> column(std::vector<double> values) {
  return Eigen::Map<Eigen::VectorXd>(values.data(), static_cast<Index>(values.size()));
}

}  // namespace

TEST_CASE("Closed in one direction: zuko's and PyTorch's numbers, and the way back", "[transformers]") {
  const oracle::Json file = oracle::read("monotone_transformers");
  REQUIRE(file["cases"].size() == 14);
  for (const oracle::Json& c : file["cases"]) {
    INFO(c["class"] << ' ' << c["constants"] << ' ' << c["raw"]);
    const Elementwise<double> map = made_from(c);
    const Eigen::MatrixXd y = oracle::vector(c["y"]);
    const MappedRows<double> x = map.inverse(y), back = map.forward(x.value);
    // zuko moves distribution functions away from 0 and 1 by a millionth.
    const double tolerance = c["class"] == "gaussianization" ? 3e-5 : 1e-11;
    for (Index i = 0; i < y.rows(); ++i) {
      INFO(y(i, 0));
      CHECK(x.value(i, 0) ==
            Approx(oracle::number(c["x"][static_cast<std::size_t>(i)])).epsilon(tolerance).margin(tolerance));
      CHECK(x.log_det[i] == Approx(oracle::number(c["log_derivative"][static_cast<std::size_t>(i)]))
                                .epsilon(tolerance)
                                .margin(tolerance));
      CHECK(back.value(i, 0) == Approx(y(i, 0)).epsilon(1e-10).margin(1e-10));
      CHECK(back.log_det[i] == Approx(-x.log_det[i]).epsilon(1e-9).margin(1e-9));
    }
  }
}

TEST_CASE("They come back far out, for random parameters, in double and float", "[transformers]") {
  for (const Poly<Transformer<double>>& transformer : all()) {
    double worst = 0, worst_float = 0;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      Elementwise<double> map(transformer, 1);
      pushforward::testing::perturb<double>(map, seed, 1);
      const Poly<Bijector<float>> single = cast<float>(static_cast<const Bijector<double>&>(map));
      const bool polynomial = transformer->multiplier() == 9;  // whose powers have no more room
      for (const double size : polynomial ? std::vector<double>{1, 10} : std::vector<double>{1, 30, 1e6}) {
        INFO(transformer->name() << ' ' << transformer->multiplier() << " size " << size << " seed " << seed);
        const Matrix<double> x = size * column({-1, -0.6, -0.1, 0, 0.2, 0.7, 1});
        const MappedRows<double> y = map.forward(x), back = map.inverse(y.value);
        worst = std::max(
            worst,
            ((back.value - x).array().abs() / (size * y.log_det.array().abs().exp().min(1e6).max(1))).maxCoeff());
        worst = std::max(worst, (y.log_det + back.log_det).cwiseAbs().maxCoeff() * 1e-2);
        const Matrix<float> narrow = x.cast<float>();
        const MappedRows<float> z = single->forward(narrow), again = single->inverse(z.value);
        worst_float = std::max<double>(worst_float, ((again.value - narrow).cast<double>().array().abs() /
                                                     (size * z.log_det.array().abs().exp().min(1e6).max(1)))
                                                        .maxCoeff());
        worst_float = std::max(worst_float, (z.log_det + again.log_det).cwiseAbs().maxCoeff() * 1e-2);
      }
    }
    INFO(transformer->name() << ' ' << transformer->multiplier());
    CHECK(worst < 1e-10);
    CHECK(worst_float < 2e-5);
  }
}

TEST_CASE("At the start they are near the identity, with components that differ", "[transformers]") {
  const Matrix<double> y = column({-3, -1.5, -0.5, 0, 0.5, 1.5, 3});
  for (const Index k : {1, 2, 8, 32}) {
    INFO(k);
    const Elementwise<double> logistic(NumericalInverse<double>(LogisticMixtureTransformer<double>(k)), 1);
    const Elementwise<double> normal(NumericalInverse<double>(GaussianizationTransformer<double>(k)), 1);
    CHECK((logistic.inverse(y).value - y).cwiseAbs().maxCoeff() < 0.15);
    CHECK((normal.inverse(y).value - y).cwiseAbs().maxCoeff() < 0.15);
  }
  const Elementwise<double> one(NumericalInverse<double>(GaussianizationTransformer<double>(1)), 1);
  CHECK((one.inverse(y).value - y).cwiseAbs().maxCoeff() < 1e-14);
  // Of equal components all gradients would be equal.
  Elementwise<double> two(NumericalInverse<double>(LogisticMixtureTransformer<double>(2)), 1);
  TransformedDistribution flow(Normal<double>(1), two);
  Engine engine(3);
  const Mixture<double> truth({Normal<double>({-2.0}, {0.3}), Normal<double>({1.5}, {0.5})});
  const Matrix<double> rows = truth.sample(2000, engine);
  fit(flow, rows, {.epochs = 80, .batch_size = 256, .learning_rate = 0.05, .seed = 1});
  CHECK(flow.log_prob(rows).mean() > truth.log_prob(rows).mean() - 0.03);
}

TEST_CASE("An autoregressive flow with them samples what it scores", "[transformers]") {
  for (const Poly<Transformer<double>>& transformer : all()) {
    INFO(transformer->name() << ' ' << transformer->multiplier());
    TransformedDistribution<double> flow(
        Normal<double>(3),
        MaskedAutoregressive<double>(3, transformer, MadeOptions{.hidden = 8, .final_scale = 1, .seed = 2}));
    Engine engine(5);
    const SamplesAndLogProb<double> drawn = flow.sample_and_log_prob(300, engine);
    const Eigen::VectorXd scored = flow.log_prob(drawn.samples);
    CHECK((scored - drawn.log_prob).cwiseAbs().maxCoeff() < 1e-7);
  }
}

TEST_CASE("Transformers that are closed in one direction: refusals", "[transformers]") {
  CHECK_THROWS_WITH(Elementwise<double>(BernsteinTransformer<double>(4), 1).forward(column({0})),
                    ContainsSubstring("put it into a NumericalInverse"));
  CHECK_THROWS_AS(LogisticMixtureTransformer<double>(0), ShapeError);
  CHECK_THROWS_WITH(LogisticMixtureTransformer<double>(2, 5, 1), ContainsSubstring("spread must lie in [0, 1), got 1"));
  CHECK_THROWS_AS(GaussianizationTransformer<double>(-1), ShapeError);
  CHECK_THROWS_AS(GaussianizationTransformer<double>(2, 0), DomainError);
  CHECK_THROWS_WITH(BernsteinTransformer<double>(1), ContainsSubstring("degree must lie in [2, 256], got 1"));
  CHECK_THROWS_WITH(BernsteinTransformer<double>(4, -1), ContainsSubstring("bound must be positive"));
  CHECK_THROWS_AS(SosPolynomialTransformer<double>(0), ShapeError);
  CHECK_THROWS_WITH(SosPolynomialTransformer<double>(4, 3, 11, 0), ContainsSubstring("slope must be positive"));
}
