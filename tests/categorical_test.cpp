// Categorical: other people's numbers, what is no category, tails, gradients, draws.

#include <cmath>
#include <limits>
#include <pushforward/distributions/categorical.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/io/safetensors.hpp>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;
using Eigen::MatrixXd;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

Categorical<double> one_column(const MatrixXd& logits) { return Categorical<double>{MatrixView<const double>(logits)}; }
MatrixXd value(double v) { return MatrixXd::Constant(1, 1, v); }

}  // namespace

TEST_CASE("Categorical has other people's numbers", "[categorical]") {
  const oracle::Json file = oracle::read("distribution_categorical");
  const MatrixXd logits = oracle::matrix(file["logits"]), y = oracle::matrix(file["y"]);
  const Categorical<double> d = one_column(logits);
  const Eigen::VectorXd log_prob = d.log_prob(y), expected = oracle::vector(file["log_prob"]);
  for (Index i = 0; i < y.rows(); ++i) CHECK(log_prob[i] == Approx(expected[i]).epsilon(1e-13));
  CHECK(d.mean().isApprox(oracle::vector(file["mean"]), 1e-13));
  CHECK(d.variance().isApprox(oracle::vector(file["variance"]), 1e-13));
  CHECK(d.entropy() == Approx(oracle::number(file["entropy"])).epsilon(1e-13));
  CHECK(d.mode() == Eigen::Vector2d(2, 1));
  const MatrixXd cdf = oracle::matrix(file["cdf"]), log_survival = oracle::matrix(file["log_survival"]);
  for (Index k = 0; k < 4; ++k) {
    const MatrixXd at = MatrixXd::Constant(1, 2, static_cast<double>(k) + 0.25);
    for (Index c = 0; c < 2; ++c) {
      CHECK(d.cdf(at)(0, c) == Approx(cdf(c, k)).epsilon(1e-13));
      if (k < 3) CHECK(d.log_survival(at)(0, c) == Approx(log_survival(c, k)).epsilon(1e-12));
    }
  }
}

TEST_CASE("What is no category has no mass", "[categorical]") {
  const Categorical<double> d(2, 3);
  const double uniform = -2 * std::log(3.0);
  MatrixXd y(7, 2);
  y << 0, 2, -0.0, 1, 0.5, 1, -1, 0, 0, 3, 1, inf, std::numeric_limits<double>::quiet_NaN(), 7;
  const Eigen::VectorXd log_prob = d.log_prob(y);
  CHECK(log_prob[0] == Approx(uniform));
  CHECK(log_prob[1] == Approx(uniform));
  for (Index i = 2; i < 6; ++i) CHECK(log_prob[i] == -inf);
  CHECK(std::isnan(log_prob[6]));
  CHECK(d.support() == Space::categories(2, 3));
  CHECK(d.prefix_log_prob(value(1))[0] == Approx(-std::log(3.0)));
  CHECK(d.prefix_log_prob(value(1.5))[0] == -inf);
}

TEST_CASE("Categories that are all but impossible", "[categorical]") {
  MatrixXd logits(1, 4);
  logits << -800, 0, -800, -800;
  const Categorical<double> d = one_column(logits);
  CHECK(d.log_prob(value(0))[0] == -800);
  CHECK(d.log_prob(value(1))[0] == 0);
  Engine engine(1);
  CHECK((d.sample(2000, engine).array() == 1).all());
  CHECK(d.quantile(value(0))(0, 0) == 0);
  CHECK(d.quantile(value(1e-9))(0, 0) == 1);
  CHECK(d.quantile(value(1))(0, 0) == 3);
  CHECK(d.quantile_complement(value(0))(0, 0) == 3);
  CHECK(d.quantile_complement(value(1e-9))(0, 0) == 1);
  CHECK(d.quantile_complement(value(1))(0, 0) == 0);
  const Categorical<float> sure(1, 1);
  CHECK(sure.log_prob(Matrix<float>(Matrix<float>::Zero(1, 1)))[0] == 0);
  CHECK(sure.entropy() == 0);
}

TEST_CASE("Gradients of a mass in its logits sum to 0", "[categorical]") {
  MatrixXd logits(1, 3);
  logits << 0.2, -0.7, 1.1;
  const Categorical<double> d = one_column(logits);
  Eigen::Array3d p = logits.row(0).array().exp();
  p /= p.sum();
  const std::vector<const Tensor<double>*> tensors{&d.logits()};
  Gradients<double> gradients{std::span<const Tensor<double>* const>(tensors)};
  Workspace memory;
  Tape<double> tape(Tape<double>::Mode::record, {memory.batch, memory.local}, 5);
  tape.set_gradients(&gradients);
  Pass<double> pass(tape, {});
  const Var<double> y = tape.matrix(1, false);
  for (Index i = 0; i < tape.padded_rows(); ++i) tape.value(y, 0)[i] = i < 5 ? static_cast<double>(i % 3) : 0.0;
  const std::vector<double> ones(5, 1.0);
  tape.backward(d.log_prob(pass, y), ones.data());
  const double* g = gradients.find(&d.logits());
  const double counts[3] = {2, 2, 1};
  for (Index k = 0; k < 3; ++k) CHECK(g[k] == Approx(counts[k] - 5 * p[k]).epsilon(1e-14));
}

TEST_CASE("Divergences between categories", "[categorical]") {
  MatrixXd a(1, 2), b(1, 3);
  a << 0, std::log(3.0);
  b << 0, 0, 0;
  const Categorical<double> p = one_column(a), q = one_column(b);
  CHECK(kl_divergence<double>(p, q) == Approx(0.25 * std::log(0.75) + 0.75 * std::log(2.25)).epsilon(1e-14));
  CHECK(kl_divergence<double>(q, p) == inf);
  CHECK_THROWS_AS(kl_divergence<double>(p, Normal<double>(1)), NotImplemented);
}

TEST_CASE("Quantiles at the steps themselves", "[categorical]") {
  MatrixXd logits(1, 4);
  logits << 0.3, -0.2, 0.9, 0.1;
  const Categorical<double> d = one_column(logits);
  for (Index k = 0; k < 3; ++k) {
    const double at = static_cast<double>(k), p = d.cdf(value(at))(0, 0), q = d.survival(value(at))(0, 0);
    CHECK(d.quantile(value(p))(0, 0) == at);
    CHECK(d.quantile_complement(value(q))(0, 0) == at);
    CHECK(d.quantile(value(std::nextafter(p, 1)))(0, 0) == at + 1);
    CHECK(d.quantile_complement(value(std::nextafter(q, 0)))(0, 0) == at + 1);
  }
}

TEST_CASE("A file holds rows of categories to check itself by", "[categorical]") {
  const Categorical<double> d(2, 3);
  const std::vector<std::byte> bytes = serialize<double>(d);
  const auto json = oracle::Json::parse(SafetensorsFile::read(bytes).metadata().at("pushforward"));
  CHECK(json.at("reference").at("rows").size() == 8);
  const MatrixXd y = MatrixXd::Ones(4, 2);
  CHECK(load<double>(bytes).distribution->log_prob(y) == d.log_prob(y));
}

TEST_CASE("Categories that cannot be are refused", "[categorical]") {
  CHECK_THROWS_WITH(Categorical<double>(2, 0), ContainsSubstring("expected 1 to 16777216 categories, got 0"));
  CHECK_THROWS_AS(Categorical<double>(0, 3), ShapeError);
  MatrixXd logits = MatrixXd::Zero(2, 3);
  logits(1, 2) = inf;
  CHECK_THROWS_WITH(one_column(logits), ContainsSubstring("got inf for category 2 of column 1"));
}
