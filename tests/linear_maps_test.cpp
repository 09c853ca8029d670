// Triangular maps, reflections, planar and radial maps: other libraries' numbers (tests/oracles/linear_map_oracles.py),
// round trips far out and next to where a map is flat, refusals; products of shared matrices.

#include <Eigen/LU>
#include <cmath>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/householder.hpp>
#include <pushforward/bijectors/planar.hpp>
#include <pushforward/bijectors/radial.hpp>
#include <pushforward/bijectors/triangular_linear.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <pushforward/training/fit.hpp>
#include <vector>

#include "src/ops/matrix.hpp"
#include "tests/catch.hpp"
#include "tests/ops.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

Matrix<double> normal_rows(Index n, Index cols, std::uint64_t seed, double scale = 1) {
  Engine engine(seed);
  return scale * Normal<double>(cols).sample(n, engine);
}

double largest(const Eigen::MatrixXd& m) { return m.cwiseAbs().maxCoeff(); }

/// y W' for the matrix that the map is, row by row of the identity.
Eigen::MatrixXd matrix_of(const Bijector<double>& map) {
  const Matrix<double> identity = Matrix<double>::Identity(map.dim(), map.dim());
  return map.forward(identity).value - map.forward(Matrix<double>(Matrix<double>::Zero(map.dim(), map.dim()))).value;
}

Poly<Bijector<double>> made_from(const oracle::Json& c) {
  const oracle::Json& p = c["parameters"];
  const std::string name = c["class"];
  const Index dim = oracle::matrix(c["x"]).cols();
  if (name == "Planar") {
    Planar<double> map(dim, 0, 0);
    for (const char* tensor : {"w", "u", "b"}) oracle::set(map, tensor, oracle::vector(p[tensor]));
    return map;
  }
  if (name == "Radial") {
    Radial<double> map(dim);
    oracle::set(map, "centre", oracle::vector(p["centre"]));
    oracle::set(map, "raw_beta", oracle::vector(p["raw_beta"]));
    oracle::set(map, "raw_alpha",
                oracle::vector(p["alpha"]).unaryExpr([](double a) { return std::log(std::expm1(a)); }));
    return map;
  }
  const Eigen::MatrixXd vectors = oracle::matrix(p["vectors"]);
  Householder<double> map(dim, vectors.rows());
  oracle::set(map, "vectors", vectors);
  return map;
}

}  // namespace

TEST_CASE("Planar, radial maps and reflections agree with normflows and nflows, and come back", "[linear]") {
  const oracle::Json file = oracle::read("linear_maps");
  REQUIRE(file["cases"].size() == 12);
  for (const oracle::Json& c : file["cases"]) {
    INFO(c["class"] << ' ' << c["parameters"]);
    const Poly<Bijector<double>> map = made_from(c);
    const Eigen::MatrixXd x = oracle::matrix(c["x"]);
    const MappedRows<double> y = map->forward(x), back = map->inverse(y.value);
    CHECK(largest(y.value - oracle::matrix(c["y"])) < 1e-13);
    CHECK(largest(y.log_det - oracle::vector(c["log_det"])) < 1e-12);
    CHECK(largest(back.value - x) < 1e-11);
    CHECK(largest(back.log_det + y.log_det) < 1e-11);
  }
}

TEST_CASE("They start as the identity, and planar inverses hold for random parameters far out", "[linear]") {
  const Matrix<double> x = normal_rows(200, 4, 1, 3);
  CHECK(largest(Planar<double>(4, 5).forward(x).value - x) < 1e-14);
  CHECK(largest(Radial<double>(4).forward(x).value - x) == 0);
  CHECK(largest(Householder<double>(4, 4).forward(x).value - x) < 1e-15);
  CHECK(TriangularLinear<double>(4).forward(x).value.isApprox(x, 1e-15));
  CHECK(Planar<double>(4, 5).w() == Planar<double>(4, 5).w());
  CHECK_FALSE(Planar<double>(4, 5).w() == Planar<double>(4, 6).w());
  double worst_planar = 0, worst_radial = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Planar<double> planar(3, seed);
    Radial<double> radial(3);
    pushforward::testing::perturb<double>(planar, seed, 2);
    pushforward::testing::perturb<double>(radial, seed, 2);
    for (const double scale : {1.0, 1e3, 1e6}) {
      const Matrix<double> rows = normal_rows(100, 3, seed + 7, scale);
      const auto error = [&](const Bijector<double>& map) {
        const MappedRows<double> y = map.forward(rows), back = map.inverse(y.value);
        return std::max(largest((back.value - rows) / scale), largest(back.log_det + y.log_det) * 1e-2);
      };
      worst_planar = std::max(worst_planar, error(planar));
      worst_radial = std::max(worst_radial, error(radial));
    }
  }
  CHECK(worst_planar < 1e-10);
  CHECK(worst_radial < 1e-10);
}

TEST_CASE("A radial map at its centre, and one that nearly swallows it", "[linear]") {
  Radial<double> map(2);
  const Matrix<double> zero = Matrix<double>::Zero(1, 2);
  oracle::set(map, "raw_beta", Eigen::VectorXd::Constant(1, -20));  // beta = -alpha + 2e-9
  const MappedRows<double> y = map.forward(zero), back = map.inverse(zero);
  CHECK(y.value == zero);
  CHECK(back.value == zero);
  CHECK(y.log_det[0] == Approx(2 * std::log(std::log1p(std::exp(-20.0)))).epsilon(1e-7));
  const Matrix<double> near = normal_rows(50, 2, 3, 1e-3);
  CHECK(largest(map.inverse(map.forward(near).value).value - near) < 1e-9);
}

TEST_CASE("Reflections are orthogonal, reach rotations, and a vector of zeros does nothing", "[linear]") {
  Householder<double> map(5, 5);
  pushforward::testing::perturb<double>(map, 3, 1);
  const Eigen::MatrixXd q = matrix_of(map);
  CHECK(largest(q * q.transpose() - Eigen::MatrixXd::Identity(5, 5)) < 1e-14);
  CHECK(q.determinant() == Approx(-1).epsilon(1e-13));
  CHECK(map.log_scale_bound() == 0);
  CHECK(map.forward(normal_rows(3, 5, 1)).log_det == Eigen::VectorXd::Zero(3));
  oracle::set(map, "vectors", Eigen::MatrixXd::Zero(5, 5));
  CHECK(matrix_of(map) == Eigen::MatrixXd::Identity(5, 5));
  CHECK_THROWS_WITH(Householder<double>(3, 0), ContainsSubstring("at least one reflection, got 0"));
}

TEST_CASE("A triangular map is L x + b, and keeps prefixes", "[linear]") {
  Matrix<double> l(3, 3);
  l << 2, 99, 99, -1, 0.5, 99, 0.3, 4, 1;
  const std::vector<double> bias{1, -2, 0.5};
  const TriangularLinear<double> map(bias, l);
  const Eigen::MatrixXd lower = l.triangularView<Eigen::Lower>();
  CHECK(largest(matrix_of(map).transpose() - lower) < 1e-14);
  const Matrix<double> x = normal_rows(20, 3, 1);
  CHECK(map.forward(x).log_det[0] == Approx(std::log(2 * 0.5)).margin(1e-14));
  CHECK(map.triangular_order() == std::vector<std::int64_t>{0, 1, 2});
  const TransformedDistribution<double> d(Normal<double>(3), map);
  // The first two columns of a normal distribution of covariance L L'.
  const Matrix<double> y = map.forward(x).value;
  const Eigen::MatrixXd covariance = (lower * lower.transpose()).topLeftCorner(2, 2);
  const Eigen::VectorXd prefix = d.prefix_log_prob(Matrix<double>(y.leftCols(2)));
  for (Index i = 0; i < 20; ++i) {
    const Eigen::Vector2d z(y(i, 0) - 1, y(i, 1) + 2);
    CHECK(prefix[i] == Approx(-0.5 * z.dot(covariance.inverse() * z) - 0.5 * std::log(covariance.determinant()) -
                              std::log(2 * 3.14159265358979))
                           .epsilon(1e-12));
  }
  Matrix<double> bad = l;
  bad(1, 1) = -0.5;
  CHECK_THROWS_WITH(TriangularLinear<double>(bias, bad),
                    ContainsSubstring("a diagonal entry must be finite and above 0.001, got -0.5 in row 1"));
  CHECK_THROWS_AS(TriangularLinear<double>(bias, Matrix<double>(Matrix<double>::Identity(2, 2))), ShapeError);
  CHECK_THROWS_WITH(Planar<double>(2, 0, 1.0), ContainsSubstring("floor must lie in [0, 1), got 1"));
}

TEST_CASE("A planar and radial flow trains through its inverse", "[linear]") {
  const Matrix<double> y = normal_rows(1500, 2, 3) * (Matrix<double>(2, 2) << 1, 0.8, 0, 0.6).finished();
  TransformedDistribution flow(Normal<double>(2), Chain(Planar<double>(2, 1), Radial<double>(2), Planar<double>(2, 2),
                                                        Householder<double>(2), TriangularLinear<double>(2)));
  const double before = flow.log_prob(y).mean();
  fit(flow, y, {.epochs = 30, .batch_size = 256, .learning_rate = 0.02, .seed = 1});
  const Eigen::MatrixXd centred = y.rowwise() - y.colwise().mean();
  const Eigen::MatrixXd covariance = centred.transpose() * centred / 1500;
  const double gaussian = -1 - 0.5 * std::log(covariance.determinant()) - std::log(2 * 3.14159265358979);
  CHECK(before < gaussian - 0.05);
  CHECK(flow.log_prob(y).mean() > gaussian - 0.02);
}

TEST_CASE("Products and transposes of shared matrices, and their gradients", "[ops]") {
  using namespace ops_tests;
  Tensor<double> a = tensor({3, 4}, 1), b = tensor({4, 2}, 2);
  const Matrix<double> x = numbers(5, 2, 3);
  check_gradients(
      [&](Pass<double>& pass, Var<double> v) {
        const Var<double> product = detail::matmul(pass.parameter(a), pass.parameter(b));  // (3, 2)
        return random_projection(pass, linear(v, product, Var<double>()), 1) +
               random_projection(pass,
                                 linear(v,
                                        detail::transpose(detail::matmul(detail::transpose(pass.parameter(b)),
                                                                         detail::transpose(pass.parameter(a)))),
                                        Var<double>()),
                                 2);
      },
      x, {{"a", &a}, {"b", &b}});
  const Matrix<double> y = values<double>(x, [&](auto& tape, Var<double> v) {
    return linear(v, detail::matmul(tape.parameter(a), tape.parameter(b)), Var<double>());
  });
  for (Index i = 0; i < 3; ++i)
    for (Index r = 0; r < 5; ++r) {
      double sum = 0;
      for (Index k = 0; k < 4; ++k)
        for (Index c = 0; c < 2; ++c) sum += x(r, c) * a(i, k) * b(k, c);
      CHECK(y(r, i) == Approx(sum).epsilon(1e-13));
    }
}
