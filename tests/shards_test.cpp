// Batches in shards: the same step but for the order of sums, which is a binary tree; the same bits on any threads.

#include <cmath>
#include <cstring>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/error.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/lbfgs.hpp>
#include <pushforward/training/sgd.hpp>

#include "src/training/step.hpp"
#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

template <class T = double>
Matrix<T> make_data(Index rows, Index dim, std::uint64_t seed = 1) {
  Matrix<double> z(rows, dim);
  Engine(seed).next_call().normal(0, rows, dim, z.data(), rows);
  for (Index c = 1; c < dim; ++c) z.col(c) += 0.6 * z.col(c - 1).array().square().matrix();
  return z.template cast<T>();
}

template <class T>
std::vector<T> values(const TransformedDistribution<T>& flow) {
  std::vector<T> result;
  for (const ConstSlot<T>& slot : list_state(static_cast<const Component<T>&>(flow)))
    result.insert(result.end(), slot.tensor->values().begin(), slot.tensor->values().end());
  return result;
}

/// Gradient and loss of one step over rows of data in shards.
template <class T>
struct Sums {
  double loss;
  std::vector<T> gradient;
};
template <class T>
Sums<T> sums(TransformedDistribution<T> flow, const Matrix<T>& y, Index shards, int threads = 1) {
  Execution execution({.threads = threads, .all_always = true});
  detail::Stepper<T> stepper(flow, Sgd<T>(), execution, shards);
  const detail::StepOutcome outcome = stepper.step(
      y.rows(), {1e-3, 0, 0}, [](Tape<T>&, Index) { return typename Pass<T>::Settings{}; },
      [&](Pass<T>& pass, Index first) {
        Tape<T>& tape = pass.tape();
        const Var<T> rows = tape.matrix(y.cols(), false);
        for (Index c = 0; c < y.cols(); ++c)
          for (Index i = 0; i < tape.padded_rows(); ++i)
            tape.value(rows, c)[i] = i < tape.local_rows() ? y(first + tape.begin() + i, c) : T(0);
        return -flow.log_prob(pass, rows);
      });
  CHECK(outcome.applied);
  const std::span<T> g = stepper.gradients().values();
  return {outcome.loss, {g.begin(), g.end()}};
}

}  // namespace

TEST_CASE("shards add up in a binary tree") {
  const auto flow = maf<double>(3, {.layers = 2, .hidden = 8, .seed = 2});
  const Matrix<double> y = make_data(40, 3);
  // The parts one by one, each a step of its own; a mean over 40 rows counts those of a part by their share.
  for (const Index shards : {2, 3, 5, 6, 7, 8}) {
    INFO(shards);
    std::vector<std::vector<double>> parts;
    for (Index s = 0; s < shards; ++s) {
      const Index first = 40 * s / shards, count = 40 * (s + 1) / shards - first;
      const Matrix<double> rows = y.middleRows(first, count);
      Sums<double> part = sums<double>(flow, rows, 1);
      part.gradient.push_back(part.loss);
      for (double& v : part.gradient) v *= static_cast<double>(count) / 40;
      parts.push_back(std::move(part.gradient));
    }
    for (std::size_t step = 1; step < parts.size(); step *= 2)
      for (std::size_t i = 0; i + step < parts.size(); i += 2 * step)
        for (std::size_t k = 0; k < parts[i].size(); ++k) parts[i][k] += parts[i + step][k];
    const Sums<double> whole = sums<double>(flow, y, shards);
    double largest = 0;
    for (std::size_t k = 0; k < whole.gradient.size(); ++k) {
      CHECK(std::abs(whole.gradient[k] - parts[0][k]) <= 1e-13 * (1 + std::abs(parts[0][k])));
      largest = std::max(largest, std::abs(parts[0][k]));
    }
    CHECK(largest > 0.1);
    CHECK(whole.loss == Approx(parts[0].back()).epsilon(1e-14));
  }
  // More shards than rows.
  CHECK(sums<double>(flow, y, 1000).loss == Approx(sums<double>(flow, y, 1).loss).epsilon(1e-13));
}

TEMPLATE_TEST_CASE("shards: the same bits on any number of threads", "", float, double) {
  using T = TestType;
  const Matrix<T> y = make_data<T>(233, 3), context = make_data<T>(233, 2, 9);
  std::vector<double> weights(233);
  for (std::size_t i = 0; i < 233; ++i) weights[i] = 0.5 + static_cast<double>(i % 3);
  const TransformedDistribution<T> start =
      maf<T>(3, {.layers = 2, .hidden = 16, .dropout = 0.1, .context_dim = 2, .batch_norm = true, .act_norm = true});
  std::vector<T> of_one;
  for (const Index shards : {1, 3, 4}) {
    std::vector<T> first;
    for (const int threads : {1, 2, 3}) {
      Execution execution({.threads = threads, .all_always = true});
      TransformedDistribution<T> flow = start;
      const FitReport report = fit(flow, y,
                                   {.epochs = 2,
                                    .batch_size = 64,
                                    .shards = shards,
                                    .learning_rate = 0.01,
                                    .context = context,
                                    .weights = weights,
                                    .execution = execution});
      CHECK(report.skipped_steps == 0);
      CHECK(report.train_loss.back() < report.train_loss.front());
      if (first.empty()) first = values(flow);
      CHECK(std::memcmp(values(flow).data(), first.data(), first.size() * sizeof(T)) == 0);
    }
    if (shards == 1) of_one = first;
    else CHECK(first != of_one);  // a batch norm sees fewer rows
  }
}

TEST_CASE("without layers that couple rows shards are the same training: weights, context, dropout") {
  Matrix<double> y = make_data(150, 2);
  const Matrix<double> context = make_data(150, 1, 5);
  y.col(0) = (y.col(0).array() * 4).round() / 4;
  std::vector<double> weights(150);
  for (std::size_t i = 0; i < 150; ++i) weights[i] = 0.5 + static_cast<double>(i % 3);
  const auto start = maf<double>(2, {.layers = 2, .hidden = 16, .dropout = 0.1, .context_dim = 1, .seed = 3});
  FitOptions<double> options{.epochs = 2,
                             .batch_size = 50,
                             .optimizer = Sgd<double>(),
                             .context = context,
                             .weights = weights};
  TransformedDistribution<double> whole = start, parts = start;
  const FitReport a = fit(whole, y, options);
  options.shards = 3;
  const FitReport b = fit(parts, y, options);
  CHECK(a.train_loss[1] == Approx(b.train_loss[1]).epsilon(1e-12));
  const std::vector<double> va = values(whole), vb = values(parts);
  for (std::size_t i = 0; i < va.size(); ++i) CHECK(va[i] == Approx(vb[i]).epsilon(1e-10).margin(1e-12));
}

TEST_CASE("running statistics take the mean of the shards' updates") {
  const Matrix<double> y = make_data(40, 2);
  TransformedDistribution<double> flow(Normal<double>(2), BatchNormalization<double>(2));
  fit(flow, y,
      {.epochs = 1,
       .batch_size = 40,
       .shards = 4,
       .validation_fraction = 0,
       .statistics = EvaluationStatistics::running});
  const auto& bn = static_cast<const BatchNormalization<double>&>(flow.bijector());
  // One update with momentum 0.9 from 0: the mean of equal parts' means is that of all.
  for (Index c = 0; c < 2; ++c) CHECK(bn.moving_mean()[c] == Approx(0.1 * y.col(c).mean()).epsilon(1e-10));
}

TEST_CASE("shards and losses over the batch exclude each other; the full batch of LBfgs goes in shards") {
  TransformedDistribution<double> flow(Normal<double>(2), Affine<double>(2));
  const Matrix<double> y = make_data(64, 2);
  FitOptions<double> options{.shards = 2};
  options.objective.batch = negative_log_likelihood<double>();
  CHECK_THROWS_WITH(fit(flow, y, options), ContainsSubstring("shards must be 1, got 2"));
  CHECK_THROWS_WITH(fit(flow, y, {.shards = 0}), ContainsSubstring("shards must be at least 1"));
  fit(flow, y,
      {.epochs = 3, .batch_size = 64, .shards = 4, .optimizer = LBfgs<double>(), .validation_fraction = 0});
  const Eigen::RowVectorXd mean = y.colwise().mean();
  for (Index c = 0; c < 2; ++c) {
    CHECK(flow.mean()[c] == Approx(mean[c]).epsilon(1e-8).margin(1e-8));
    CHECK(flow.stddev()[c] ==
          Approx(std::sqrt((y.col(c).array() - mean[c]).square().mean())).epsilon(1e-8));
  }
}
