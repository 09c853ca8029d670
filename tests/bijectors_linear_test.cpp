// Permute and LULinear: closed forms, nflows' numbers, gradients, edges.

#include <cmath>
#include <pushforward/bijectors/lu_linear.hpp>
#include <pushforward/bijectors/permute.hpp>
#include <pushforward/error.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/bijectors.hpp"

using namespace pushforward;
using namespace bijector_tests;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("permute") {
  Matrix<double> x(2, 3);
  x << 1, 2, 3, 4, 5, 6;
  const Permute<double> permute({2, 0, 1});
  Matrix<double> y(2, 3);
  y << 3, 1, 2, 6, 4, 5;
  CHECK(permute.forward(x).value == y);
  CHECK(permute.inverse(y).value == x);
  CHECK(permute.forward(x).log_det == Eigen::VectorXd::Zero(2));
  CHECK(permute.is_constant_jacobian());
  CHECK(permute.log_scale_bound() == 0);
  CHECK(Permute<double>::reverse(3).permutation() == std::vector<std::int64_t>{2, 1, 0});

  const auto random = Permute<float>::random(100, 7);
  CHECK(random.permutation() == Permute<double>::random(100, 7).permutation());
  CHECK(random.permutation() != Permute<double>::random(100, 8).permutation());
  Index fixed = 0;
  for (std::size_t i = 0; i < 100; ++i) fixed += random.permutation()[i] == static_cast<std::int64_t>(i);
  CHECK(fixed < 10);
  CHECK(Permute<double>::random(1, 3).permutation() == std::vector<std::int64_t>{0});

  CHECK_THROWS_WITH(Permute<double>({0, 1, 1, 3}), ContainsSubstring("1 is repeated and 2 is missing"));
  CHECK_THROWS_WITH(Permute<double>({0, 4, 1, 3}), ContainsSubstring("4 is out of range and 2 is missing"));
  CHECK_THROWS_WITH(Permute<double>({-1, 0}), ContainsSubstring("-1 is out of range"));
  CHECK_THROWS_AS(Permute<double>(std::vector<std::int64_t>{}), ShapeError);
  CHECK_THROWS_AS(Permute<double>::reverse(0), ShapeError);
  CHECK_THROWS_AS(Permute<double>::random(-1, 1), ShapeError);
  Permute<double> copy = permute;
  check_gradients(copy, true, some_rows<double>(3, 3), Statistics::running);
  check_gradients(copy, false, some_rows<double>(3, 3), Statistics::running);
}

// ------------------------------------------------------------------------------------------------------ LU linear

TEST_CASE("LU linear starts as the identity") {
  const LULinear<double> lu(4);
  const Matrix<double> x = some_rows<double>(5, 4);
  check_close(lu.forward(x).value, x, 1e-15);
  check_close(lu.inverse(x).log_det, Eigen::VectorXd(Eigen::VectorXd::Zero(5)), 1e-14);
}

TEST_CASE("LU linear agrees with nflows 0.14") {
  // There the layer maps data to base by x = L U y + bias; here L U x + bias is `forward`.
  const auto o = oracle("nflows_lu_linear");
  LULinear<double> lu(5);
  const std::vector<double> lower = numbers(o["weights"]["lower_entries"]);
  const std::vector<double> upper = numbers(o["weights"]["upper_entries"]);
  std::size_t l = 0, u = 0;
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 5; ++j) {
      // What lies on the other side is not read.
      tensor<double>(lu, "lower")(i, j) = j < i ? lower[l++] : 1e3;
      tensor<double>(lu, "upper")(i, j) = j > i ? upper[u++] : 1e3;
    }
  set<double>(lu, "raw_diagonal", numbers(o["weights"]["unconstrained_upper_diag"]));
  set<double>(lu, "bias", numbers(o["weights"]["bias"]));
  const auto forward = lu.forward(matrix(o["y"]));
  check_close(forward.value, matrix(o["outputs"]["inverse_x"]), 1e-12);
  check_close(forward.log_det, numbers(o["outputs"]["inverse_log_det"]), 1e-12);
  const auto inverse = lu.inverse(matrix(o["x"]));
  check_close(inverse.value, matrix(o["outputs"]["forward_y"]), 1e-12);
  check_close(inverse.log_det, numbers(o["outputs"]["forward_log_det"]), 1e-12);
  const Matrix<double> product = matrix(o["outputs"]["matrix"]);
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 5; ++j) CHECK(lu.matrix()(i, j) == Approx(product(i, j)).margin(1e-14));
  const Matrix<double> x = some_rows<double>(3, 5);
  check_gradients(lu, true, x, Statistics::running);
  check_gradients(lu, false, x, Statistics::running);
}

TEST_CASE("LU linear keeps its diagonal away from zero") {
  LULinear<double> lu(2);
  set<double>(lu, "raw_diagonal", std::vector<double>{-1e4, 1e4});
  const auto forward = lu.forward(Matrix<double>(Matrix<double>::Ones(1, 2)));
  CHECK(forward.value(0, 0) == LULinear<double>::diagonal_floor);
  CHECK(forward.log_det[0] == Approx(std::log(1e-3) + std::log(1e4 + 1e-3)));
}
