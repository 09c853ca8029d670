// Normal families: KL divergences, and the fit of the multivariate one in closed form.

#include <cmath>
#include <limits>
#include <pushforward/distributions/laplace.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/error.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/distributions.hpp"

using namespace pushforward;
using namespace distribution_tests;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("KL between normal families goes by mean and covariance", "[distributions]") {
  using V = std::vector<double>;
  const V loc{0.5, -1, 2}, scale{0.7, 1.2, 2}, zero{0, 0, 0};
  Matrix<double> l(3, 3);
  l << 0.9, 0, 0, -0.6, 1.3, 0, 0.4, 0.8, 0.5;
  const Matrix<double> diagonal = Eigen::Vector3d(0.7, 1.2, 2).asDiagonal();
  const std::vector<Any<double>> same{Normal<double>(loc, scale), MultivariateNormalDiag<double>(loc, scale),
                                      MultivariateNormalTriL<double>(loc, diagonal)};
  const MultivariateNormalTriL<double> other(zero, l);
  const double there = kl_divergence<double>(*same[0], other), back = kl_divergence<double>(other, *same[0]);
  CHECK(there > 0.1);
  CHECK(back > 0.1);
  for (const Any<double>& d : same) {
    check_near(kl_divergence<double>(*d, other), there, 1e-13);
    check_near(kl_divergence<double>(other, *d), back, 1e-13);
    for (const Any<double>& e : same) CHECK(std::abs(kl_divergence(*d, *e)) < 1e-14);
  }
  Engine engine(1);
  const Matrix<double> y = same[0]->sample(40000, engine);
  const Eigen::ArrayXd difference = (same[0]->log_prob(y) - other.log_prob(y)).array();
  CHECK(std::abs(difference.mean() - there) < 5 * std::sqrt((difference - difference.mean()).square().mean() / 40000));
  CHECK_THROWS_AS(kl_divergence<double>(Normal<double>(1), Laplace<double>(1)), NotImplemented);
  CHECK_THROWS_AS(kl_divergence<double>(Normal<double>(1), Normal<double>(2)), ShapeError);
  CHECK(kl_divergence<double>(Uniform<double>(V{0}, V{2}), Uniform<double>(V{0}, V{1})) == inf);
}

TEMPLATE_TEST_CASE("the multivariate normal is fitted in closed form", "[distributions]", float, double) {
  using T = TestType;
  const double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-12;
  Engine engine(8);
  Matrix<T> l(3, 3);
  l << T(0.9), 0, 0, T(-0.6), T(1.3), 0, T(0.4), T(0.8), T(0.5);
  const std::vector<T> loc{100, T(-0.5), 2};
  const Matrix<T> data = MultivariateNormalTriL<T>(loc, l).sample(500, engine);
  const Matrix<double> x = data.template cast<double>();
  const Eigen::VectorXd mean = x.colwise().mean();
  const Matrix<double> centred = x.rowwise() - mean.transpose();
  const Eigen::MatrixXd covariance = centred.transpose() * centred / 500;

  const MultivariateNormalTriL<T> fitted = MultivariateNormalTriL<T>::fit(data);
  CHECK((fitted.mean() - mean).cwiseAbs().maxCoeff() < 100 * tolerance);
  CHECK((fitted.covariance() - covariance).cwiseAbs().maxCoeff() < 10 * tolerance);
  const auto ridge = MultivariateNormalTriL<T>::fit(data, {}, 0.25);
  const Eigen::MatrixXd raised = covariance + 0.25 * Eigen::MatrixXd::Identity(3, 3);
  CHECK((ridge.covariance() - raised).cwiseAbs().maxCoeff() < 10 * tolerance);

  // A weight of 2 is the row twice, a weight of 0 is no row; the storage order does not matter.
  std::vector<double> weights(500, 1.0);
  weights[3] = 2;
  weights[7] = 0;
  Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> same = data;
  same.row(7) = same.row(3);
  const auto weighted = MultivariateNormalTriL<T>::fit(data, weights), repeated = MultivariateNormalTriL<T>::fit(same);
  CHECK((weighted.mean() - repeated.mean()).cwiseAbs().maxCoeff() < 100 * tolerance);
  CHECK((weighted.covariance() - repeated.covariance()).cwiseAbs().maxCoeff() < 10 * tolerance);

  using Fit = MultivariateNormalTriL<T>;
  Matrix<T> flawed = data;
  flawed.col(1).setConstant(T(0.1));
  CHECK_THROWS_WITH(Fit::fit(flawed), ContainsSubstring("column 1 is constant"));
  CHECK_NOTHROW(Fit::fit(flawed, {}, 1e-3));
  flawed.col(1) = data.col(0) + data.col(2);
  flawed.col(0) = data.col(0).array().round();
  flawed.col(2) = data.col(2).array().round();
  flawed.col(1) = flawed.col(0) + flawed.col(2);
  CHECK_THROWS_WITH(Fit::fit(flawed), ContainsSubstring("column 2 depends linearly"));
  CHECK_THROWS_WITH(Fit::fit(data.topRows(3)), ContainsSubstring("3 rows"));
  CHECK_NOTHROW(Fit::fit(data.topRows(3), {}, 1e-3));
  CHECK_THROWS_AS(Fit::fit(data.topRows(0)), DomainError);
  CHECK_THROWS_AS(Fit::fit(data, weights, -1.0), DomainError);
  CHECK_THROWS_AS(Fit::fit(data, std::vector<double>(3, 1.0)), ShapeError);
  weights[2] = -1;
  CHECK_THROWS_WITH(Fit::fit(data, weights), ContainsSubstring("row 2"));
  flawed = data;
  flawed(4, 1) = std::numeric_limits<T>::quiet_NaN();
  CHECK_THROWS_WITH(Fit::fit(flawed), ContainsSubstring("row 4, column 1"));
}
