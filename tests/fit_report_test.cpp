// What `fit` reports, and the options that decide when it stops and how far it steps, against formulas.

#include <cmath>
#include <limits>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/sgd.hpp>
#include <vector>

#include "src/training/early_stopping.hpp"
#include "tests/catch.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;

TEST_CASE("mean log-likelihoods are reported with their standard errors") {
  const Matrix<double> y = make_data(300, 2), validation = make_data(40, 2, 2);
  Flow flow = affine_flow(2);
  const FitReport report = fit(flow, y, {.epochs = 3, .batch_size = 100, .validation = validation});
  const auto check = [&](const MeanLogLikelihood& got, const Matrix<double>& rows) {
    const Eigen::ArrayXd l = flow.log_prob(rows).array();
    const double n = static_cast<double>(l.size()), mean = l.mean();
    CHECK(got.mean == Approx(mean).epsilon(1e-12));
    CHECK(got.standard_error == Approx(std::sqrt((l - mean).square().sum() / (n - 1) / n)).epsilon(1e-12));
  };
  check(report.train, y);
  check(report.validation, validation);
  CHECK(report.bits_per_dimension == Approx(-report.validation.mean / (2 * std::log(2.0))));
}

TEST_CASE("weights count in the mean log-likelihood and in its standard error") {
  const Matrix<double> y = make_data(300, 2);
  std::vector<double> weights(300);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.5 + static_cast<double>(i % 7);
  Flow flow = affine_flow(2);
  FitOptions<double> options{.epochs = 2, .batch_size = 100, .validation_fraction = 0};
  options.weights = weights;
  const FitReport report = fit(flow, y, options);
  const Eigen::ArrayXd l = flow.log_prob(y).array(), w = Eigen::Map<const Eigen::ArrayXd>(weights.data(), 300);
  const double mean = (w * l).sum() / w.sum();
  CHECK(report.train.mean == Approx(mean).epsilon(1e-12));
  // Of a ratio of sums, by the delta method, with n - 1 for the mean that was estimated.
  CHECK(report.train.standard_error ==
        Approx(std::sqrt((w * (l - mean)).square().sum() * 300 / 299) / w.sum()).epsilon(1e-12));
}

TEST_CASE("a loss is better that is lower by more than min_delta") {
  const double inf = std::numeric_limits<double>::infinity();
  detail::EarlyStopping stopping;
  CHECK(stopping.report(0, 10, 0.5));
  CHECK_FALSE(stopping.report(1, 9.6, 0.5));
  CHECK_FALSE(stopping.report(2, 9.5, 0.5));
  CHECK(stopping.since_best == 2);
  CHECK_FALSE(stopping.exhausted(3));
  CHECK(stopping.exhausted(2));
  CHECK_FALSE(stopping.exhausted(0));
  CHECK(stopping.report(3, 9.4, 0.5));  // than the best, not than the last
  CHECK(stopping.best_loss == 9.4);
  CHECK(stopping.best_epoch == 3);
  CHECK(stopping.since_best == 0);
  stopping.wait();
  CHECK(stopping.since_best == 1);
  CHECK_FALSE(stopping.report(5, 10.5, 0));
  CHECK_FALSE(stopping.report(6, std::nan(""), 0));
  // What is not finite is never the best, and anything finite is better than nothing.
  detail::EarlyStopping poor;
  CHECK_FALSE(poor.report(0, inf, 0));
  CHECK_FALSE(poor.report(1, std::nan(""), 0));
  CHECK(poor.best_epoch == -1);
  CHECK(poor.report(2, 1e300, 0.5));
}

TEST_CASE("a step goes against the gradient, no further than clip_norm lets it") {
  const Matrix<double> y = make_data(160, 2);
  const double rate = 1e-4;
  const Flow start = affine_flow(2);
  const auto moved = [&](double clip_norm) {
    Flow flow = start;
    const FitReport report = fit(flow, y,
                                 {.epochs = 1,
                                  .batch_size = 160,
                                  .learning_rate = rate,
                                  .optimizer = Sgd<double>({.momentum = 0}),
                                  .clip_norm = clip_norm,
                                  .validation_fraction = 0});
    CHECK(report.steps == 1);
    const std::vector<double> before = values(start), after = values(flow);
    Eigen::VectorXd distance(static_cast<Index>(before.size()));
    for (std::size_t i = 0; i < before.size(); ++i) distance[static_cast<Index>(i)] = after[i] - before[i];
    return distance;
  };
  const Eigen::VectorXd whole = moved(0);
  const double norm = whole.norm() / rate;
  REQUIRE(norm > 2);
  // By differences of the mean log-likelihood.
  const std::vector<double> at = values(start);
  for (std::size_t i = 0; i < at.size(); ++i) {
    const auto mean_at = [&](double v) {
      Flow flow = start;
      std::size_t k = 0;
      for (const Slot<double>& slot : list_state(flow))
        for (double& value : slot.tensor->values())
          if (k++ == i) value = v;
      return flow.log_prob(y).mean();
    };
    const double slope = (mean_at(at[i] + 1e-5) - mean_at(at[i] - 1e-5)) / 2e-5;
    CHECK(whole[static_cast<Index>(i)] == Approx(rate * slope).epsilon(1e-5).margin(1e-9));
  }
  const Eigen::VectorXd clipped = moved(1);
  CHECK(clipped.norm() == Approx(rate).epsilon(1e-5));
  CHECK((clipped.normalized() - whole.normalized()).norm() < 1e-6);
  CHECK(moved(2 * norm) == whole);
}
