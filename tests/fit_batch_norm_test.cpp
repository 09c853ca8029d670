// Batch normalisation in training: maximum likelihood, weights, ghost batches, penalties.

#include <algorithm>
#include <cmath>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;

TEST_CASE("batch normalisation alone learns a normal: the maximum-likelihood test of the first implementation") {
  // 3000 steps of Adam on batches of N([1, 2], I): samples and moving statistics within 0.05.
  Engine engine(2017);
  const Matrix<double> noise = Normal<double>(2).sample(30000, engine);
  const Matrix<double> y = noise.rowwise() + Eigen::RowVector2d(1, 2);
  for (const GammaMap map : {GammaMap::exp, GammaMap::identity}) {
    BatchNormLayerOptions options;
    options.gamma_map = map;
    if (map == GammaMap::identity) options.gamma_constraint = {Constraint::Kind::relu_plus_floor, 1e-6};
    Flow flow(MultivariateNormalDiag<double>::standard(2),
              BatchNormalization<double>({2}, BatchNormLayer<double>(options)));
    const FitReport report = fit(flow, y,
                                 {.epochs = 10,
                                  .batch_size = 100,
                                  .learning_rate = 1e-2,
                                  .validation_fraction = 0,
                                  .statistics = EvaluationStatistics::running,
                                  .seed = 1});
    CHECK(report.steps == 3000);
    const auto& bn = static_cast<const BatchNormalization<double>&>(flow.bijector());
    const Matrix<double> samples = flow.sample(100000, engine);
    for (Index c = 0; c < 2; ++c) {
      CHECK(bn.moving_mean()[c] == Approx(c + 1.0).margin(0.05));
      CHECK(bn.moving_variance()[c] == Approx(1).margin(0.05));
      CHECK(samples.col(c).mean() == Approx(c + 1.0).margin(0.05));
      CHECK(std::sqrt((samples.col(c).array() - samples.col(c).mean()).square().mean()) == Approx(1).margin(0.05));
    }
  }
}

TEST_CASE("fit with weighted statistics: a row of weight 2 counts as two rows") {
  Engine engine(8);
  const Matrix<double> y = Normal<double>(2).sample(40, engine);
  Matrix<double> doubled(60, 2);
  doubled << y, y.topRows(20);
  std::vector<double> weights(40, 1.0);
  std::fill_n(weights.begin(), 20, 2.0);
  const auto moments = [&](const Matrix<double>& rows, std::vector<double> w) {
    Flow flow(Normal<double>(2), Chain<double>(BatchNormalization<double>(2)));
    FitOptions<double> options{.epochs = 1, .batch_size = 60, .validation_fraction = 0};
    options.weights = w;
    options.weighted_statistics = !w.empty();
    fit(flow, rows, options);
    const auto& bn =
        static_cast<const BatchNormalization<double>&>(static_cast<const Chain<double>&>(flow.bijector()).part(0));
    return std::pair(bn.moving_mean(), bn.moving_variance());
  };
  const auto weighted = moments(y, weights), repeated = moments(doubled, {});
  for (Index c = 0; c < 2; ++c) {
    CHECK(weighted.first[c] == Approx(repeated.first[c]).epsilon(1e-12));
    CHECK(weighted.second[c] == Approx(repeated.second[c]).epsilon(1e-12));
  }
  weights[0] = -1;
  FitOptions<double> options{.epochs = 1};
  options.weights = weights;
  options.allow_negative_weights = options.weighted_statistics = true;
  Flow flow(Normal<double>(2), Chain<double>(BatchNormalization<double>(2)));
  CHECK_THROWS_AS(fit(flow, y, options), DomainError);
}

TEST_CASE("builders: ghost batches, renormalisation and batch norm in conditioners train on any number of threads") {
  Engine engine(9);
  const Matrix<double> y = Normal<double>(4).sample(300, engine);
  FlowOptions options{.layers = 4, .hidden = 12, .batch_norm = true, .seed = 3};
  options.batch_norm_options.ghost_rows = 24;
  options.batch_norm_options.renorm =
      Renorm{.momentum = 0.9, .rmax = 3, .dmax = 5, .open_from = 2, .open_rmax = 10, .open_dmax = 8};
  options.conditioner_batch_norm = true;
  const auto trained = [&](int threads) {
    Execution execution({.threads = threads, .all_always = true});
    Flow flow = real_nvp<double>(4, options);
    const double before = flow.log_prob(y).mean();
    const FitReport report = fit(flow, y, {.epochs = 8, .batch_size = 75, .seed = 5, .execution = execution});
    CHECK(report.skipped_steps == 0);
    CHECK(flow.log_prob(y).mean() > before);
    return std::pair(flow.log_prob(y), list_state(static_cast<const Component<double>&>(flow)).size());
  };
  const auto one = trained(1), three = trained(3);
  CHECK((one.first.array() == three.first.array()).all());
  CHECK(one.second > 60);
  options.conditioner_batch_norm = true;
  CHECK_THROWS_AS(maf<double>(4, options), NotImplemented);
}

TEST_CASE(
    "fit hands on the penalties and constraints of a batch normalisation layer, and what is not trainable stays") {
  Engine engine(11);
  const Matrix<double> y = (Normal<double>(2).sample(400, engine).array() * 0.3 + 2).matrix();
  const auto fitted = [&](BatchNormLayerOptions options) {
    options.gamma_map = GammaMap::identity;
    Flow flow(MultivariateNormalDiag<double>(std::vector<double>{1, -1}, std::vector<double>{1, 1}),
              BatchNormalization<double>({2}, BatchNormLayer<double>(options)));
    fit(flow, y, {.epochs = 30, .batch_size = 100, .learning_rate = 1e-2, .validation_fraction = 0, .seed = 1});
    return static_cast<const BatchNormalization<double>&>(flow.bijector());
  };
  const auto norm = [](const Tensor<double>& t) { return std::hypot(t[0], t[1]); };
  const BatchNormalization<double> free = fitted({});
  BatchNormLayerOptions bound;
  bound.gamma_regularizer = {0, 5};
  bound.beta_constraint = {Constraint::Kind::max_norm, 0.1};
  const BatchNormalization<double> held = fitted(bound);
  CHECK(norm(free.beta()) > 0.3);
  CHECK(norm(held.beta()) <= 0.1 + 1e-6);
  CHECK(norm(held.gamma()) < 0.8 * norm(free.gamma()));
  BatchNormLayerOptions still;
  still.trainable = false;
  const BatchNormalization<double> untouched = fitted(still);
  CHECK(untouched.gamma()[0] == 1);
  CHECK(untouched.beta()[0] == 0);
}
