// Whiten: the Gaussian of maximum likelihood where there are many rows, none of the noise where there are few.

#include <Eigen/Cholesky>
#include <cmath>
#include <limits>
#include <pushforward/bijectors/whiten.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/error.hpp>
#include <pushforward/random.hpp>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

Matrix<double> normal_rows(Index rows, Index cols, std::uint64_t seed) {
  Engine engine(seed);
  return MultivariateNormalTriL<double>(cols).sample(rows, engine);
}

Eigen::MatrixXd scale_tril(const Whiten<double>& w) {
  Eigen::MatrixXd m(w.dim(), w.dim());
  for (Index i = 0; i < w.dim(); ++i)
    for (Index j = 0; j < w.dim(); ++j) m(i, j) = i == j ? w.diagonal()[i] : w.lower()(i, j);
  return m;
}

/// Of the rows about their means, by the rule for many rows.
Eigen::MatrixXd cholesky(const Matrix<double>& y, const Eigen::VectorXd& weights) {
  const Eigen::VectorXd w = weights / weights.sum();
  const Eigen::MatrixXd centred = y.rowwise() - Eigen::RowVectorXd(w.transpose() * y);
  const Eigen::MatrixXd covariance = centred.transpose() * w.asDiagonal() * centred;
  return covariance.llt().matrixL();
}

}  // namespace

TEST_CASE("Whiten of many rows is the Cholesky factor of their covariance, also weighted") {
  const Index n = 20000, dim = 4;
  Eigen::Matrix4d mix;
  mix << 2, 0, 0, 0, 1, 1e-2, 0, 0, -3, 2, 5, 0, 30, 40, 50, 100;
  const Matrix<double> y = normal_rows(n, dim, 1) * mix.transpose();
  Eigen::VectorXd weights = Eigen::VectorXd::Ones(n);
  for (const bool weighted : {false, true}) {
    if (weighted)
      for (Index i = 0; i < n; ++i) weights[i] = 0.5 + static_cast<double>(i % 3);
    const Whiten<double> w =
        weighted ? Whiten<double>::of(y, weights) : Whiten<double>::of(y);
    const Eigen::MatrixXd expected = cholesky(y, weights), own = scale_tril(w);
    for (Index i = 0; i < dim; ++i) CHECK((own - expected).row(i).norm() < 3e-3 * expected(i, i));
    CHECK(w.triangular_order() == std::vector<std::int64_t>{0, 1, 2, 3});
    CHECK(w.is_constant_jacobian());
  }
}

TEST_CASE("Whiten does not take the noise of few rows for correlations, and keeps what is none") {
  // 60 rows of 40 columns, of which two go together.
  const Index n = 60, dim = 40;
  const auto draw = [&](Index rows, std::uint64_t seed) {
    Matrix<double> y = normal_rows(rows, dim, seed);
    y.col(5) = y.col(2) + 0.01 * y.col(5);
    return y;
  };
  const Matrix<double> y = draw(n, 2), test = draw(2000, 3);
  const auto score = [&](const Eigen::MatrixXd& factor) {
    const Eigen::VectorXd loc = Eigen::VectorXd::Zero(dim);
    return MultivariateNormalTriL<double>(loc, factor).log_prob(test).mean();
  };
  Eigen::MatrixXd truth = Eigen::MatrixXd::Identity(dim, dim);
  truth(5, 2) = 1;
  truth(5, 5) = 0.01;
  const double own = score(scale_tril(Whiten<double>::of(y)));
  const double by_likelihood = score(cholesky(y, Eigen::VectorXd::Ones(n)));
  const double without = score(Eigen::MatrixXd::Identity(dim, dim));
  INFO(own << ", by likelihood " << by_likelihood << ", no correlations " << without << ", truth " << score(truth));
  CHECK(own > score(truth) - 6);
  CHECK(own > by_likelihood + 20);
}

TEST_CASE("Whiten of columns that follow from others, do not vary, or lie far away") {
  Matrix<double> y = normal_rows(500, 5, 4);
  y.col(1) = 2 * y.col(0);
  y.col(2).setConstant(7);
  y.col(3) = y.col(3) * 1e-200;
  y.col(4) = y.col(4) * 1e200;
  const Eigen::MatrixXd factor = scale_tril(Whiten<double>::of(y));
  CHECK(factor.allFinite());
  CHECK(factor(1, 1) == Approx(2e-5).epsilon(0.1));
  CHECK(factor(1, 0) == Approx(2).epsilon(0.1));
  CHECK(factor(2, 2) == 1);
  CHECK(factor(3, 3) == Approx(1e-200).epsilon(0.1));
  CHECK(factor(4, 4) == Approx(1e200).epsilon(0.1));
  // An offset far above the spread.
  const Matrix<double> far = normal_rows(1000, 2, 5);
  const Eigen::MatrixXd near = scale_tril(Whiten<double>::of(far));
  const Matrix<double> moved = far.array() + 1e8;
  CHECK((scale_tril(Whiten<double>::of(moved)) - near).norm() < 1e-6);
  // One row, and more columns than rows.
  CHECK(scale_tril(Whiten<double>::of(Matrix<double>(far.topRows(1)))) == Eigen::MatrixXd::Identity(2, 2));
  CHECK(scale_tril(Whiten<double>::of(normal_rows(3, 50, 6))).allFinite());
}

TEST_CASE("Whiten refuses what is no data, and what is no factor") {
  CHECK_THROWS_WITH(Whiten<double>::of(Matrix<double>(0, 2)), ContainsSubstring("no rows"));
  Matrix<double> y = normal_rows(3, 2, 7);
  CHECK_THROWS_WITH(Whiten<double>::of(y, std::vector<double>(3, 0.0)), ContainsSubstring("sum to a positive number"));
  CHECK_THROWS_AS(Whiten<double>::of(y, std::vector<double>{1, 1}), ShapeError);
  y(1, 1) = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(Whiten<double>::of(y), ContainsSubstring("row 1, column 1"));
  CHECK_THROWS_WITH(Whiten<double>(Eigen::MatrixXd(Eigen::MatrixXd::Zero(2, 2))), ContainsSubstring("got 0 at (0, 0)"));
  CHECK_THROWS_AS(Whiten<double>(Eigen::MatrixXd(Eigen::MatrixXd::Ones(2, 3))), ShapeError);
}
