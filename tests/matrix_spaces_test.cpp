// Maps onto triangular, positive definite and correlation matrices: TFP's numbers
// (tests/oracles/matrix_space_oracles.py), round trips, what lies outside.

#include <Eigen/Cholesky>
#include <cmath>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/cholesky_outer_product.hpp>
#include <pushforward/bijectors/correlation_cholesky.hpp>
#include <pushforward/bijectors/fill_scale_tril.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/training/fit.hpp>
#include <string>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

Poly<Bijector<double>> made(const std::string& name, Index n) {
  if (name == "FillScaleTriL") return FillScaleTriL<double>(n);
  if (name == "CholeskyOuterProduct") return CholeskyOuterProduct<double>(n);
  REQUIRE(name == "CorrelationCholesky");
  return CorrelationCholesky<double>(n);
}

double largest(const Eigen::MatrixXd& m) { return m.cwiseAbs().maxCoeff(); }

Matrix<double> row(std::initializer_list<double> values) {
  Matrix<double> m(1, static_cast<Index>(values.size()));
  std::copy(values.begin(), values.end(), m.data());
  return m;
}

}  // namespace

TEST_CASE("Maps onto matrices have TFP's numbers, and come back", "[matrices]") {
  const oracle::Json file = oracle::read("matrix_spaces");
  REQUIRE(file["cases"].size() == 8);
  for (const oracle::Json& c : file["cases"]) {
    INFO(c["class"] << ' ' << c["n"]);
    const Poly<Bijector<double>> map = made(c["class"], c["n"]);
    const Eigen::MatrixXd x = oracle::matrix(c["x"]), y = oracle::matrix(c["y"]);
    const MappedRows<double> there = map->forward(x), back = map->inverse(y);
    CHECK(largest(there.value - y) < 1e-13);
    CHECK(largest(there.log_det - oracle::vector(c["log_det"])) < 1e-12);
    CHECK(largest(back.value - x) < 1e-11);
    CHECK(largest(back.log_det + oracle::vector(c["log_det"])) < 1e-11);
  }
}

TEST_CASE("A flow over positive definite matrices draws none that is not, and learns", "[matrices]") {
  const Chain onto(FillScaleTriL<double>(3), CholeskyOuterProduct<double>(3));
  CHECK(onto.codomain() == Space::positive_definite(3));
  CHECK(onto.base_dim() == 6);
  const TransformedDistribution truth(Normal<double>({0.5, -1, 0.2, 0, 1, 0.3}, {0.3, 0.5, 0.2, 0.4, 0.6, 0.3}), onto);
  Engine engine(4);
  const Matrix<double> y = truth.sample(4000, engine);
  for (Index i = 0; i < y.rows(); ++i) {
    Eigen::Matrix3d s;
    for (Index k = 0; k < 9; ++k) s(k / 3, k % 3) = y(i, k);
    CHECK(s == s.transpose());
    CHECK(s.llt().info() == Eigen::Success);
  }
  TransformedDistribution flow(Normal<double>(6), onto);
  fit(flow, y, {.epochs = 60, .batch_size = 256, .learning_rate = 0.02, .seed = 1});
  CHECK(flow.log_prob(y).mean() > truth.log_prob(y).mean() - 0.02);
}

TEST_CASE("Correlations stay correlations far out", "[matrices]") {
  const CorrelationCholesky<double> map(3);
  for (const double size : {1.0, 1e4, 1e8}) {
    const MappedRows<double> y = map.forward(row({size, -2 * size, 0.5 * size}));
    CHECK(y.value(0, 4) > 0);
    CHECK(y.value.row(0).segment(6, 3).norm() == Approx(1).epsilon(1e-14));
    CHECK(std::isfinite(y.log_det[0]));
    CHECK(map.inverse(y.value).value(0, 1) == Approx(-2 * size).epsilon(1e-12));
  }
  // Of two variables the correlation r is x / sqrt(1 + x^2), and dr/dx = (1 + x^2)^(-3/2).
  const MappedRows<double> two = CorrelationCholesky<double>(2).forward(row({0.75}));
  CHECK(largest(two.value - row({1, 0, 0.6, 0.8})) < 1e-15);
  CHECK(two.log_det[0] == Approx(-1.5 * std::log(1.5625)).epsilon(1e-14));
}

TEST_CASE("Rows that are no such matrices lie outside", "[matrices]") {
  const FillScaleTriL<double> fill(2);
  const CholeskyOuterProduct<double> outer(2);
  const CorrelationCholesky<double> correlation(2);
  for (const Matrix<double>& y : {row({1, 0.1, 0, 1}), row({1, 0, 0, 0}), row({-1, 0, 0, 1})}) {
    CHECK_THROWS_WITH(fill.inverse(y), ContainsSubstring("row 0 lies outside the codomain"));
    CHECK_THROWS_WITH(outer.forward(y), ContainsSubstring("row 0 lies outside the domain"));
  }
  for (const Matrix<double>& y : {row({1, 2, 2, 1}), row({1, 0.5, 0.4, 1}), row({-1, 0, 0, 1})})
    CHECK_THROWS_WITH(outer.inverse(y), ContainsSubstring("row 0 lies outside the codomain"));
  CHECK_NOTHROW(outer.inverse(row({1, 0.5 + 1e-9, 0.5, 1})));
  for (const Matrix<double>& y :
       {row({1, 0, 0.6, 0.7}), row({1, 0.1, 0.6, 0.8}), row({1, 0, 0.6, -0.8}), row({2, 0, 0.6, 0.8})})
    CHECK_THROWS_WITH(correlation.inverse(y), ContainsSubstring("row 0 lies outside the codomain"));
  CHECK_THROWS_AS(FillScaleTriL<double>(0), ShapeError);
  CHECK_THROWS_WITH(CorrelationCholesky<double>(1), ContainsSubstring("expected n of at least 2, got 1"));
}
