// The Gaussian that models are compared with.

#include <Eigen/Cholesky>
#include <cmath>
#include <numbers>
#include <pushforward/error.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/baseline.hpp>
#include <pushforward/training/fit.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;
using Columns = std::vector<std::ptrdiff_t>;

TEST_CASE("without context: the maximum likelihood Gaussian, weights and all") {
  const Matrix<double> y = make_data(200, 3);
  std::vector<double> weights(200);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<double>(i % 4);
  const auto fitted = GaussianBaseline::fit(y, {}, weights);
  const auto direct = MultivariateNormalTriL<double>::fit(y, weights);
  CHECK(fitted.dim() == 3);
  CHECK(fitted.context_dim() == 0);
  CHECK((fitted.log_prob(y) - direct.log_prob(y)).norm() == 0);
}

TEST_CASE("with context: a linear regression, by its normal equations") {
  const Index n = 300;
  const Matrix<double> c = make_data(n, 2, 5);
  Matrix<double> y = make_data(n, 1, 6);
  y.col(0) += 2 * c.col(0) - 0.5 * c.col(1);
  const auto fitted = GaussianBaseline::fit(y, c);
  Eigen::MatrixXd design(n, 3);
  design << Eigen::VectorXd::Ones(n), c;
  const Eigen::VectorXd slopes = (design.transpose() * design).ldlt().solve(design.transpose() * y.col(0));
  const Eigen::VectorXd rest = y.col(0) - design * slopes;
  const double variance = rest.squaredNorm() / static_cast<double>(n);
  const Eigen::VectorXd got = fitted.log_prob(y, c);
  for (Index i = 0; i < n; ++i)
    CHECK(got[i] == Approx(-0.5 * (rest[i] * rest[i] / variance + std::log(2 * std::numbers::pi * variance))).epsilon(1e-9));

  // It is what the report of a conditional fit compares with.
  Flow flow = maf<double>(1, {.layers = 1, .hidden = 4, .context_dim = 2});
  const FitReport report = fit(flow, y, {.epochs = 0, .context = c, .validation_fraction = 0});
  CHECK(report.gaussian_baseline == Approx(got.mean()).epsilon(1e-10));
}

TEST_CASE("what has no Gaussian is refused by its column") {
  Matrix<double> y = make_data(50, 2), c = make_data(50, 2, 3);
  const auto refused = [&](const Matrix<double>& data, const Matrix<double>& context) {
    try {
      static_cast<void>(GaussianBaseline::fit(data, context));
    } catch (const DomainError& error) {
      return error.notice();
    }
    return Notice{};
  };
  Matrix<double> flat = y, flat_context = c, same = c;
  flat.col(1).setConstant(3);
  flat_context.col(0).setConstant(3);
  same.col(1) = 2 * c.col(0);
  Notice notice = refused(flat, c);
  CHECK(notice.columns == Columns{1});
  CHECK(notice.option == "ridge");
  CHECK(notice.text() == "GaussianBaseline::fit: the covariance is not positive definite: column 1 is constant; drop it or pass a ridge");
  flat.col(0).setConstant(-1);
  notice = refused(flat, flat_context);
  CHECK(notice.columns == Columns{0, 1});
  CHECK(notice.context_columns == Columns{0});
  CHECK_THAT(notice.text(), ContainsSubstring("columns 0, 1, context column 0 are constant; drop them or pass a ridge"));
  notice = refused(y, flat_context);
  CHECK(notice.columns.empty());
  CHECK(notice.context_columns == Columns{0});
  CHECK_THAT(notice.text(), ContainsSubstring("context column 0 is constant"));
  CHECK_THAT(refused(y, same).text(), ContainsSubstring("context column 1 depends linearly on"));
  CHECK_THAT(refused(y.topRows(3), c.topRows(3)).text(), ContainsSubstring("3 rows cannot span 4 columns"));
  y(7, 1) = NAN;
  CHECK_THAT(refused(y, c).text(), ContainsSubstring("data row 7, column 1 is not finite"));
  CHECK_THROWS_AS(GaussianBaseline::fit(c, y.topRows(4)), ShapeError);
  CHECK_THROWS_AS(GaussianBaseline::fit(c).log_prob(c, c), ShapeError);
}
