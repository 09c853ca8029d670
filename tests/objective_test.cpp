// Objectives of `fit`: a term for each row, a term for the batch, random numbers.

#include <cmath>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/error.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/sgd.hpp>

#include "tests/catch.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

Matrix<double> normal_data(Index rows, Index dim) {
  Matrix<double> z(rows, dim);
  Engine(3).next_call().normal(0, rows, dim, z.data(), rows);
  return (z.array() * 1.5 + 2).matrix();
}

/// The mean of a column over the batch, in every row; in row order.
Column<double> batch_mean(Column<double> x) {
  Tape<double>& tape = *x.node()->tape;
  const Column<double> mean = tape.column(x.node()->wanted);
  const Index n = tape.rows();
  const auto mean_of = [n](const double* v) {
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += v[i];
    return sum / static_cast<double>(n);
  };
  tape.barrier();
  std::fill_n(tape.value(mean), tape.padded_rows(), mean_of(x.node()->value));
  if (tape.recording() && x.node()->wanted) {
    tape.on_backward([&tape, x, mean, mean_of] {
      static_cast<void>(tape.gradient(mean));  // zeros where nothing came back
      tape.barrier();
      const double share = mean_of(mean.node()->gradient);
      double* g = tape.gradient(x);
      for (Index i = 0; i < tape.local_rows(); ++i) g[i] += share;
    });
  }
  return mean;
}

Column<double> squared_mean(Pass<double>& pass, const Distribution<double>& flow, Var<double> y) {
  const Column<double> mean = batch_mean(-flow.log_prob(pass, y));
  return multiply(mean, mean);
}

}  // namespace

TEST_CASE("a loss over the batch: the chain rule through a mean, on any number of threads") {
  const Matrix<double> y = normal_data(40, 2);
  const Flow start(Normal<double>(2), Affine<double>(2));
  const double mean = -start.log_prob(y).mean();
  REQUIRE(std::abs(mean) > 0.5);
  // One step down mean(l)^2 is one down mean(l) that is 2 mean(l) times as long.
  FitOptions<double> options{.epochs = 1,
                             .batch_size = 40,
                             .learning_rate = 0.01,
                             .optimizer = Sgd<double>(),
                             .clip_norm = 0,
                             .validation_fraction = 0};
  Flow expected = start;
  FitOptions<double> rows = options;
  rows.learning_rate *= 2 * mean;
  fit(expected, y, rows);
  options.objective.batch = squared_mean;
  std::vector<double> first;
  for (const int threads : {1, 2, 3}) {
    Execution execution({.threads = threads, .all_always = true});
    options.execution = execution;
    Flow flow = start;
    const FitReport report = fit(flow, y, options);
    CHECK(report.train_loss[0] == Approx(mean * mean).epsilon(1e-12));
    const std::vector<double> got = values(flow), want = values(expected);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(want[i]).epsilon(1e-12).margin(1e-14));
    if (first.empty()) first = got;
    CHECK(got == first);
  }
}

TEST_CASE("both terms add up; weights count for rows alone; validation goes by batches") {
  const Matrix<double> y = normal_data(60, 2), validation = normal_data(50, 2);
  std::vector<double> weights(60, 1.0), validation_weights(50, 1.0);
  for (std::size_t i = 0; i < 60; i += 2) weights[i] = 3;
  for (std::size_t i = 0; i < 50; i += 2) validation_weights[i] = 3;
  Flow flow(Normal<double>(2), Affine<double>(2));
  const auto weighted = [](const Eigen::VectorXd& l) {
    double sum = 0, total = 0;
    for (Index i = 0; i < l.size(); ++i) {
      sum += (i % 2 == 0 ? 3 : 1) * l[i];
      total += i % 2 == 0 ? 3 : 1;
    }
    return sum / total;
  };
  const Eigen::VectorXd train = -flow.log_prob(y);
  FitOptions<double> options{.epochs = 1,
                             .batch_size = 60,
                             .weights = weights,
                             .validation = validation,
                             .validation_weights = validation_weights,
                             .objective = {.rows = negative_log_likelihood<double>(), .batch = squared_mean}};
  Flow after = flow;
  FitReport report = fit(after, y, options);
  CHECK(report.train_loss[0] == Approx(weighted(train) + train.mean() * train.mean()).epsilon(1e-12));
  Eigen::VectorXd l = -after.log_prob(validation);
  CHECK(report.validation_loss[0] == Approx(weighted(l) + l.mean() * l.mean()).epsilon(1e-12));

  // Batches of 20, 20 and 10 rows.
  options.batch_size = 20;
  after = flow;
  std::vector<double> first;
  for (const int threads : {1, 2}) {
    Execution execution({.threads = threads, .all_always = true});
    options.execution = execution;
    after = flow;
    report = fit(after, y, options);
    l = -after.log_prob(validation);
    const double a = l.head(20).mean(), b = l.segment(20, 20).mean(), c = l.tail(10).mean();
    const double terms = (20 * a * a + 20 * b * b + 10 * c * c) / 50;
    CHECK(report.validation_loss[0] == Approx(weighted(l) + terms).epsilon(1e-12));
    if (first.empty()) first = values(after);
    CHECK(values(after) == first);
  }
}

TEST_CASE("a loss draws random numbers: others in every step, the same in every run and for any threads") {
  const Matrix<double> y = normal_data(64, 2);
  std::vector<std::vector<double>> drawn;
  const Loss<double> noisy = [&](Pass<double>& pass, const Distribution<double>& flow, Var<double> v) {
    const Var<double> noise = pass.normal(2);
    const Tape<double>& tape = pass.tape();  // of a small batch the first thread may have no row
    if (pass.recording() && tape.begin() == 0 && tape.local_rows() > 0)
      drawn.push_back({noise.values(0)[0], noise.values(0)[1]});
    return -flow.log_prob(pass, v + noise * 0.1);
  };
  std::vector<double> first;
  std::vector<std::vector<double>> first_drawn;
  for (const int threads : {1, 2}) {
    Execution execution({.threads = threads, .all_always = true});
    Flow flow(Normal<double>(2), Affine<double>(2));
    drawn.clear();
    const FitReport report = fit(flow, y, {.epochs = 2, .batch_size = 16, .loss = noisy, .execution = execution});
    CHECK(report.skipped_steps == 0);
    if (first.empty()) {
      first = values(flow);
      first_drawn = drawn;
      REQUIRE(drawn.size() == static_cast<std::size_t>(report.steps));
      for (std::size_t i = 1; i < drawn.size(); ++i) CHECK(drawn[i] != drawn[i - 1]);
    }
    CHECK(values(flow) == first);
    CHECK(drawn == first_drawn);
  }
}

TEST_CASE("loss and objective together are refused") {
  Flow flow(Normal<double>(2), Affine<double>(2));
  CHECK_THROWS_WITH(fit(flow, normal_data(9, 2),
                        {.loss = negative_log_likelihood<double>(),
                         .objective = {.rows = negative_log_likelihood<double>()}}),
                    ContainsSubstring("objective"));
}

TEST_CASE("a loss over the batch is one number, of at least one column, or refused by name") {
  const Matrix<double> y = normal_data(48, 2);
  const auto log_prob = [](Pass<double>& pass, const Distribution<double>& flow, Var<double> v) {
    return std::vector{flow.log_prob(pass, v)};
  };
  const auto refused = [&](const Objective<double>& objective, Index shards, int threads, bool validate) -> std::string {
    Execution execution({.threads = threads, .all_always = true});
    Flow flow(Normal<double>(2), Affine<double>(2));
    const std::vector<double> before = values(flow);
    FitOptions<double> options{.epochs = 1,
                               .batch_size = 24,
                               .shards = shards,
                               .validation_fraction = validate ? 0.5 : 0,
                               .objective = objective,
                               .execution = execution};
    try {
      fit(flow, y, options);
    } catch (const ShapeError& error) {
      CHECK(values(flow) == before);
      CHECK_THAT(error.what(), ContainsSubstring(error.notice().option));
      return error.what();
    }
    return "";
  };
  for (const Index shards : {1, 3})
    for (const int threads : {1, 2}) {
      INFO(shards << " shards, " << threads << " threads");
      const Objective<double> per_row{.columns = log_prob, .coupling = [](auto columns) { return -columns[0]; }};
      CHECK_THAT(refused(per_row, shards, threads, false),
                 ContainsSubstring("objective.coupling: expected one number for the batch") &&
                     ContainsSubstring(" in row 0 and ") && ContainsSubstring("batch_sum and batch_log_sum_exp"));
      const Objective<double> none{
          .columns = [](auto&, const auto&, auto) { return std::vector<Column<double>>(); },
          .coupling = [](auto columns) { return columns.empty() ? Column<double>() : batch_sum(columns[0]); }};
      CHECK_THAT(refused(none, shards, threads, false),
                 ContainsSubstring("objective.columns: expected at least one column, with a number for each row, got none"));
      // A column that is zero everywhere has its numbers, on one tape as in shards.
      const Objective<double> zero{.columns = [](auto&, const auto&, auto) { return std::vector<Column<double>>(1); },
                                   .coupling = [](auto columns) { return batch_log_sum_exp(columns[0]); }};
      CHECK(refused(zero, shards, threads, true).empty());
      const Objective<double> good{.columns = log_prob,
                                   .coupling = [](auto columns) { return -batch_log_sum_exp(columns[0]); }};
      CHECK(refused(good, shards, threads, true).empty());
    }
  const Objective<double> batch{.batch = [](auto& pass, const auto& flow, auto v) { return -flow.log_prob(pass, v); }};
  CHECK_THAT(refused(batch, 1, 2, false), ContainsSubstring("objective.batch: expected one number for the batch"));
}
