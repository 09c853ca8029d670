// The Gaussian mixture by expectation maximisation.

#include <algorithm>
#include <limits>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/training/gaussian_mixture.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("fit_gaussian_mixture: one component in closed form, three found, and refusals") {
  const Matrix<double> y = correlated_normal(50, 11);
  const Mixture<double> one = fit_gaussian_mixture<double>(y, 1);
  const Eigen::MatrixXd centred = y.rowwise() - y.colwise().mean();
  const Eigen::MatrixXd covariance = centred.transpose() * centred / 50;
  const auto& normal = static_cast<const MultivariateNormalTriL<double>&>(one.component(0));
  CHECK((normal.covariance() - covariance).norm() < 1e-6 * covariance.norm());
  CHECK((normal.mean() - Eigen::VectorXd(y.colwise().mean())).norm() < 1e-10);

  // Three far apart, of shares 0.5, 0.3, 0.2; weights take every tenth row of the first one out.
  Engine engine(12);
  Matrix<double> rows = MultivariateNormalDiag<double>::standard(2).sample(5000, engine);
  std::vector<double> weights(5000, 1.0);
  for (Index i = 0; i < 5000; ++i) {
    if (i % 10 < 5) rows.row(i) *= 0.5;
    else if (i % 10 < 8) rows.row(i).array() += 20;
    else rows(i, 0) = 3 * rows(i, 0) - 30;
    if (i % 10 == 0) weights[static_cast<std::size_t>(i)] = 0;
  }
  const Mixture<double> three = fit_gaussian_mixture<double>(rows, 3, {}, weights);
  std::vector<double> shares;
  for (Index k = 0; k < 3; ++k) {
    const Eigen::VectorXd mean = three.component(k).mean(), spread = three.component(k).stddev();
    const double share = three.weights()[k];
    if (mean[0] > 10) CHECK((share == Approx(3.0 / 9).epsilon(1e-3) && spread[0] == Approx(1).epsilon(0.05)));
    else if (mean[0] < -10) CHECK((share == Approx(2.0 / 9).epsilon(1e-3) && spread[0] == Approx(3).epsilon(0.05)));
    else CHECK((share == Approx(4.0 / 9).epsilon(1e-3) && spread[0] == Approx(0.5).epsilon(0.05)));
  }
  // The start is that of k-means, of 1,024 rows.
  Eigen::VectorXd start = fit_gaussian_mixture<double>(rows, 3, {.iterations = 0}).weights();
  std::sort(start.begin(), start.end());
  CHECK((start - Eigen::Vector3d(0.2, 0.3, 0.5)).cwiseAbs().maxCoeff() < 0.05);
  // It ends where an iteration gains less than the tolerance, here the first one, and not later.
  const auto values_of = [&](const GaussianMixtureOptions& o) {
    return values<double>(fit_gaussian_mixture<double>(y, 3, o));
  };
  CHECK(same_bits(values_of({.tolerance = 2}), values_of({.iterations = 1})));
  CHECK_FALSE(same_bits(values_of({.tolerance = 0}), values_of({.iterations = 1})));
  // Equal rows, and as many components as rows, keep densities finite.
  const Matrix<double> equal = Matrix<double>::Constant(5, 2, 7), pairs = y.leftCols(2);
  CHECK(fit_gaussian_mixture<double>(equal, 2).log_prob(pairs).sum() < 0);
  const Matrix<float> single = y.cast<float>(), few = single.topRows(5);
  CHECK(fit_gaussian_mixture<float>(few, 5).log_prob(single).allFinite());
  // The background is the Gaussian of all rows, with its share.
  const Mixture<double> backed = fit_gaussian_mixture<double>(rows, 3, {.background = 0.25}, weights);
  REQUIRE(backed.components() == 4);
  CHECK(backed.weights()[3] == Approx(0.25));
  CHECK(backed.weights().head(3).isApprox(0.75 * three.weights(), 1e-12));
  const Matrix<double> places = rows.topRows(20) * 40;
  CHECK(backed.component(3).log_prob(places).isApprox(
      fit_gaussian_mixture<double>(rows, 1, {}, weights).log_prob(places), 1e-12));
  for (const double share : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()})
    CHECK_THROWS_WITH(fit_gaussian_mixture<double>(rows, 3, {.background = share}, weights),
                      ContainsSubstring("background must be a share from 0 to below 1"));
  CHECK_THROWS_WITH(fit_gaussian_mixture<double>(y, 51), ContainsSubstring("each of the 50 rows, got 51"));
  CHECK_THROWS_AS(fit_gaussian_mixture<double>(y, 0), DomainError);
}
