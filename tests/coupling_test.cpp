// Losses over the batch in two halves: the same training for any number of shards, threads and pieces.

#include <cmath>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/error.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/lbfgs.hpp>
#include <pushforward/training/sgd.hpp>

#include "tests/catch.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<Column<double>> log_densities(Pass<double>& pass, const Distribution<double>& flow, Var<double> y) {
  return {flow.log_prob(pass, y)};
}

/// The mean of minus the column, squared.
Column<double> squared_mean(std::span<const Column<double>> columns) {
  const Index rows = columns[0].node()->tape->rows();
  const Column<double> mean = batch_sum(columns[0]) * (-1 / static_cast<double>(rows));
  return multiply(mean, mean);
}

/// Densities of the rows, moved by random numbers, and of noise; coupled by their order of size: a contrastive loss.
const Objective<double> contrastive{
    .columns =
        [](Pass<double>& pass, const Distribution<double>& flow, Var<double> y) {
          const Column<double> data = flow.log_prob(pass, y + pass.normal(y.cols()) * 0.05);
          return std::vector<Column<double>>{data, flow.log_prob(pass, pass.normal(y.cols()) * 2.0), {}};
        },
    .coupling =
        [](std::span<const Column<double>> c) {
          return batch_log_sum_exp(c[1]) - batch_log_sum_exp(c[0]) + batch_sum(multiply(c[0], c[0])) * 1e-4 +
                 batch_sum(c[2]);
        }};

}  // namespace

TEST_CASE("a coupling of shards: the chain rule through a mean") {
  const Matrix<double> y = make_data(40, 2), validation = make_data(30, 2, 8);
  const Flow start = affine_flow(2);
  const double mean = -start.log_prob(y).mean();
  REQUIRE(std::abs(mean) > 0.5);
  // One step down mean(l)^2 is one down mean(l) that is 2 mean(l) times as long.
  FitOptions<double> options{.epochs = 1,
                             .batch_size = 40,
                             .learning_rate = 0.01,
                             .optimizer = Sgd<double>(),
                             .clip_norm = 0,
                             .validation = validation,
                             .statistics = EvaluationStatistics::running};
  Flow expected = start;
  FitOptions<double> rows = options;
  rows.learning_rate *= 2 * mean;
  fit(expected, y, rows);
  const double validated = -expected.log_prob(validation).mean();
  options.objective = {.columns = log_densities, .coupling = squared_mean};
  for (const Index shards : {1, 2, 3, 7, 40, 100}) {
    std::vector<double> first;
    for (const int threads : {1, 2, 3}) {
      INFO(shards << " shards, " << threads << " threads");
      Execution execution({.threads = threads, .all_always = true});
      options.execution = execution;
      options.shards = shards;
      Flow flow = start;
      const FitReport report = fit(flow, y, options);
      CHECK(report.train_loss[0] == Approx(mean * mean).epsilon(1e-12));
      CHECK(report.validation_loss[0] == Approx(validated * validated).epsilon(1e-12));
      const std::vector<double> got = values(flow), want = values(expected);
      for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(want[i]).epsilon(1e-12).margin(1e-14));
      if (first.empty()) first = got;
      CHECK(same_bits(got, first));
    }
  }
}

TEST_CASE("a coupling in one piece has the bits of a loss over the batch") {
  const Matrix<double> y = make_data(100, 2);
  FitOptions<double> options{.epochs = 2, .batch_size = 50};
  Flow whole = affine_flow(2), halves = whole;
  options.objective.batch = [](Pass<double>& pass, const Distribution<double>& flow, Var<double> v) {
    return squared_mean(log_densities(pass, flow, v));
  };
  const FitReport a = fit(whole, y, options);
  options.objective = {.columns = log_densities, .coupling = squared_mean};
  const FitReport b = fit(halves, y, options);
  CHECK(a.train_loss == b.train_loss);
  CHECK(a.validation_loss == b.validation_loss);
  CHECK(same_bits(values(whole), values(halves)));
}

TEST_CASE("a coupling with random numbers, dropout, weights, context and a term of rows: the same training in shards") {
  const Matrix<double> y = make_data(150, 2), context = make_data(150, 1, 5);
  std::vector<double> weights(150);
  for (std::size_t i = 0; i < 150; ++i) weights[i] = 0.5 + static_cast<double>(i % 3);
  const Flow start = maf<double>(2, {.layers = 2, .hidden = 16, .dropout = 0.1, .context_dim = 1, .seed = 3});
  FitOptions<double> options{.epochs = 2,
                             .batch_size = 50,
                             .optimizer = Sgd<double>(),
                             .context = context,
                             .weights = weights,
                             .objective = contrastive};
  options.objective.rows = negative_log_likelihood<double>();
  Flow whole = start;
  const FitReport a = fit(whole, y, options);
  CHECK(a.skipped_steps == 0);
  const std::vector<double> va = values(whole);
  Flow without = start;
  FitOptions<double> rows_alone = options;
  rows_alone.objective = {};
  fit(without, y, rows_alone);
  double effect = 0;
  for (std::size_t i = 0; i < va.size(); ++i) effect = std::max(effect, std::abs(va[i] - values(without)[i]));
  CHECK(effect > 1e-4);
  for (const bool checkpointing : {false, true})
    for (const Index shards : {2, 3, 5}) {
      options.gradient_checkpointing = checkpointing;
      options.shards = shards;
      Flow parts = start;
      const FitReport b = fit(parts, y, options);
      CHECK(a.train_loss[1] == Approx(b.train_loss[1]).epsilon(1e-12));
      CHECK(a.validation_loss[1] == Approx(b.validation_loss[1]).epsilon(1e-12));
      const std::vector<double> vb = values(parts);
      for (std::size_t i = 0; i < va.size(); ++i) CHECK(va[i] == Approx(vb[i]).epsilon(1e-10).margin(1e-12));
    }
}

TEST_CASE("shards propose once: normalisation layers move as without a coupling") {
  const Matrix<double> y = make_data(60, 2);
  const Flow start = rich_flow(2);
  FitOptions<double> options{.epochs = 1,
                             .batch_size = 60,
                             .shards = 3,
                             .learning_rate = 1e-300,
                             .validation_fraction = 0,
                             .statistics = EvaluationStatistics::running};
  Flow plain = start, coupled = start;
  fit(plain, y, options);
  options.objective = {.columns = log_densities, .coupling = squared_mean};
  fit(coupled, y, options);
  const auto states = [](const Flow& flow) {
    std::vector<double> all;
    for (const ConstSlot<double>& slot : list_state<double>(flow))
      if (slot.kind == StateKind::state)
        all.insert(all.end(), slot.tensor->values().begin(), slot.tensor->values().end());
    return all;
  };
  CHECK(states(plain) != states(start));
  CHECK(same_bits(states(plain), states(coupled)));
}

TEST_CASE("a search sees the coupling at every trial") {
  const Matrix<double> y = make_data(60, 2);
  FitOptions<double> options{.epochs = 3,
                             .batch_size = 60,
                             .optimizer = LBfgs<double>({.iterations = 3}),
                             .validation_fraction = 0,
                             .objective = {.columns = log_densities, .coupling = squared_mean}};
  Flow whole = affine_flow(2), parts = whole;
  const FitReport a = fit(whole, y, options);
  options.shards = 4;
  const FitReport b = fit(parts, y, options);
  REQUIRE(a.train_loss.back() < 0.9 * a.train_loss.front());
  CHECK(a.train_loss.back() == Approx(b.train_loss.back()).epsilon(1e-8));
}

TEST_CASE("a coupling in shards takes the memory of one") {
  const Matrix<double> y = make_data(4096, 4);
  const auto memory = [&](Index shards) {
    Execution execution({.threads = 1});
    Flow flow = maf<double>(4, {.layers = 4, .hidden = 64});
    fit(flow, y,
        {.epochs = 1,
         .batch_size = 4096,
         .shards = shards,
         .validation_fraction = 0,
         .objective = {.columns = log_densities, .coupling = squared_mean},
         .execution = execution});
    return execution.common().capacity() + execution.local(0).capacity();
  };
  CHECK(memory(16) < memory(1) / 6);
}

TEST_CASE("halves of a loss that do not fit together are refused") {
  Flow flow = affine_flow(2);
  const Matrix<double> y = make_data(64, 2);
  FitOptions<double> options{.shards = 2, .objective = {.columns = log_densities}};
  CHECK_THROWS_WITH(fit(flow, y, options), ContainsSubstring("give both"));
  options.objective = {.coupling = squared_mean};
  CHECK_THROWS_WITH(fit(flow, y, options), ContainsSubstring("give both"));
  options.objective = {.columns = log_densities, .coupling = squared_mean};
  options.loss = negative_log_likelihood<double>();
  CHECK_THROWS_WITH(fit(flow, y, options), ContainsSubstring("give one of loss and objective"));
  options.loss = {};
  options.objective.batch = negative_log_likelihood<double>();
  CHECK_THROWS_WITH(fit(flow, y, options),
                    ContainsSubstring("shards must be 1, got 2") && ContainsSubstring("objective.coupling"));
  options.objective.batch = {};
  int calls = 0;
  options.objective.columns = [&](Pass<double>& pass, const Distribution<double>& model, Var<double> v) {
    return std::vector<Column<double>>(static_cast<std::size_t>(++calls), model.log_prob(pass, v));
  };
  Execution one({.threads = 1});
  options.execution = one;
  CHECK_THROWS_WITH(fit(flow, y, options), ContainsSubstring("objective.columns: gave 2 columns, and 1"));
}
