// Fitting: batches, weights, gradients of the whole batch, the same bits for any number of threads, reverse KL.

#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/training.hpp"
#include "src/training/rows.hpp"
#include "src/training/step.hpp"

using namespace pushforward;
using namespace training_tests;

TEST_CASE("a last batch below half size joins the one before") {
  using detail::batch_bounds;
  CHECK(batch_bounds(0, 10) == std::vector<Index>{0});
  CHECK(batch_bounds(1, 10) == std::vector<Index>{0, 1});
  CHECK(batch_bounds(10, 10) == std::vector<Index>{0, 10});
  CHECK(batch_bounds(14, 10) == std::vector<Index>{0, 14});
  CHECK(batch_bounds(15, 10) == std::vector<Index>{0, 10, 15});
  CHECK(batch_bounds(30, 10) == std::vector<Index>{0, 10, 20, 30});
  CHECK(batch_bounds(34, 10) == std::vector<Index>{0, 10, 20, 34});
  CHECK(batch_bounds(3, 1) == std::vector<Index>{0, 1, 2, 3});
}

TEST_CASE("an affine flow recovers mean and standard deviation") {
  const Matrix<double> y = make_data(2000, 2);
  Flow flow = affine_flow(2);
  const FitReport report = fit(flow, y,
                               {.epochs = 150,
                                .batch_size = 500,
                                .learning_rate = 0.05,
                                .schedule = CosineSchedule{},
                                .validation_fraction = 0});
  const Eigen::RowVectorXd mean = y.colwise().mean();
  const Eigen::RowVectorXd deviation = ((y.rowwise() - mean).array().square().colwise().mean()).sqrt();
  for (Index c = 0; c < 2; ++c) {
    CHECK(flow.mean()[c] == Approx(mean[c]).margin(0.01 * deviation[c]));
    CHECK(flow.stddev()[c] == Approx(deviation[c]).epsilon(0.01));
  }
  CHECK(report.stop_reason == StopReason::completed);
  CHECK(report.steps == 150 * 4);
  CHECK(report.best_epoch == -1);
  CHECK(report.train_rows == 2000);
  CHECK(report.train_loss.size() == 150);
  CHECK(report.train_loss.back() < report.train_loss.front());
  CHECK(std::isnan(report.validation.mean));
  CHECK(report.train.mean == Approx(flow.log_prob(y).mean()).epsilon(1e-12));
  // The columns depend on each other, so the Gaussian with covariance is as good or better.
  CHECK(report.gaussian_baseline >= report.train.mean);
  CHECK(report.bits_per_dimension == Approx(-report.train.mean / (2 * std::numbers::ln2)));
  CHECK_FALSE(to_text(report).empty());
  FitReport far;
  far.train = {-1e300, 2e299};
  CHECK_THAT(to_text(far), Catch::Matchers::ContainsSubstring("log-likelihood: -1e+300 +- 2e+299 nats per row"));
}

TEST_CASE("the Gaussian for comparison is the maximum-likelihood one") {
  const Matrix<double> y = make_data(500, 3);
  Flow flow = affine_flow(3);
  const FitReport report = fit(flow, y, {.epochs = 0, .validation_fraction = 0});
  const Eigen::RowVectorXd mean = y.colwise().mean();
  const Eigen::MatrixXd centred = y.rowwise() - mean, covariance = centred.transpose() * centred / 500.0;
  // sum of squares in units of the covariance is N D.
  const double expected = -0.5 * (3 + 3 * std::log(2 * std::numbers::pi) + std::log(covariance.determinant()));
  CHECK(report.gaussian_baseline == Approx(expected).epsilon(1e-10));
}

TEST_CASE("float follows double") {
  const Matrix<double> y = make_data(400, 2);
  Flow flow = affine_flow(2);
  TransformedDistribution<float> flow_f(Normal<float>(2), Affine<float>(2));
  fit(flow, y, {.epochs = 3, .batch_size = 100, .validation_fraction = 0.25});
  const Matrix<float> yf = y.cast<float>();
  fit(flow_f, yf, {.epochs = 3, .batch_size = 100, .validation_fraction = 0.25});
  const std::vector<double> a = values<double>(flow);
  const std::vector<float> b = values<float>(flow_f);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(static_cast<double>(b[i]) == Approx(a[i]).margin(1e-4));
}

namespace {

/// Loss and gradients of one step over all rows.
struct FullBatch {
  double loss;
  std::vector<double> gradients;
};
FullBatch full_batch(Flow flow, const Matrix<double>& y, const std::vector<double>& weights, int threads) {
  Execution execution({.threads = threads, .all_always = true});
  const FitOptions<double> options{.weights = weights, .validation_fraction = 0};
  const detail::FitRows<double> rows("test", flow.support(), 0, y, options);
  const detail::RowSource<double> source = rows.train_source(rows.train().data());
  detail::Stepper<double> stepper(flow, Adam<double>(), execution);
  const detail::StepOutcome outcome = stepper.step(
      static_cast<Index>(rows.train().size()), {1e-3, 0, 0}, [](Tape<double>&, Index) { return Pass<double>::Settings{}; },
      [&](Pass<double>& pass, Index) {
        const Column<double> loss = -flow.log_prob(pass, source.load_data(pass.tape(), 0));
        return rows.weighted() ? multiply(loss, source.load_weights(pass.tape(), 0)) : loss;
      });
  CHECK(outcome.applied);
  return {outcome.loss, {stepper.gradients().values().begin(), stepper.gradients().values().end()}};
}

}  // namespace

TEST_CASE("integer weights are repeated rows") {
  const Matrix<double> y = make_data(37, 3);
  std::vector<double> weights(37);
  std::vector<Index> repeated;
  for (Index i = 0; i < 37; ++i) {
    weights[static_cast<std::size_t>(i)] = static_cast<double>(i % 4);
    for (Index k = 0; k < i % 4; ++k) repeated.push_back(i);
  }
  Matrix<double> long_y(static_cast<Index>(repeated.size()), 3);
  for (std::size_t i = 0; i < repeated.size(); ++i) long_y.row(static_cast<Index>(i)) = y.row(repeated[i]);
  const Flow flow = maf<double>(3, {.layers = 2, .hidden = 8, .blocks = 1, .seed = 2});
  const FullBatch a = full_batch(flow, y, weights, 1), b = full_batch(flow, long_y, {}, 1);
  CHECK(a.loss == Approx(b.loss).epsilon(1e-12));
  REQUIRE(a.gradients.size() == b.gradients.size());
  for (std::size_t i = 0; i < a.gradients.size(); ++i)
    CHECK(std::abs(a.gradients[i] - b.gradients[i]) < 1e-10 * (1 + std::abs(b.gradients[i])));
}

TEST_CASE("gradients of the whole batch agree with central differences") {
  const Matrix<double> y = make_data(20, 2);
  Flow flow = maf<double>(2, {.layers = 2, .hidden = 4, .blocks = 1, .seed = 2});
  const FullBatch exact = full_batch(flow, y, {}, 2);
  Index offset = 0;
  double largest = 0;
  for (const Slot<double>& slot : list_state(static_cast<Component<double>&>(flow))) {
    if (slot.kind != StateKind::parameter || !slot.attributes.trainable) continue;
    for (Index i = 0; i < slot.tensor->size(); ++i) {
      const double h = 1e-6, old = (*slot.tensor)[i];
      (*slot.tensor)[i] = old + h;
      const double up = -flow.log_prob(y).mean();
      (*slot.tensor)[i] = old - h;
      const double down = -flow.log_prob(y).mean();
      (*slot.tensor)[i] = old;
      CHECK(exact.gradients[static_cast<std::size_t>(offset + i)] == Approx((up - down) / (2 * h)).margin(2e-7));
      largest = std::max(largest, std::abs(up - down) / (2 * h));
    }
    offset += (slot.tensor->size() + 15) / 16 * 16;
  }
  CHECK(largest > 0.1);
}

TEMPLATE_TEST_CASE("any number of threads gives the same bits", "", float, double) {
  using T = TestType;
  const Matrix<T> y = make_data<T>(233, 3), context = make_data<T>(233, 2, 9);
  std::vector<double> weights(233);
  for (std::size_t i = 0; i < 233; ++i) weights[i] = 0.5 + static_cast<double>(i % 3);
  std::vector<T> first;
  FitReport first_report;
  const FlowOptions splines{.layers = 2,
                            .hidden = 16,
                            .blocks = 1,
                            .residual = true,
                            .dropout = 0.1,
                            .context_dim = 2,
                            .mixing = Mixing::lu_linear,
                            .batch_norm = true};
  TransformedDistribution<T> start = rich_flow<T>(3, 2);
  SECTION("maf") {}
  SECTION("nsf") { start = nsf<T>(3, splines); }
  SECTION("nsf_ar") { start = nsf_ar<T>(3, splines); }
  for (const int threads : {1, 2, 3, 8}) {
    INFO(threads);
    Execution execution({.threads = threads, .all_always = true});
    TransformedDistribution<T> flow = start;
    const FitReport report = fit(flow, y,
                                 {.epochs = 3,
                                  .batch_size = 50,
                                  .learning_rate = 0.01,
                                  .weight_decay = 1e-3,
                                  .context = context,
                                  .weights = weights,
                                  .validation_fraction = 0.2,
                                  .seed = 5,
                                  .execution = execution});
    CHECK(report.skipped_steps == 0);
    if (first.empty()) {
      first = values<T>(flow);
      first_report = report;
      CHECK(first_report.train_loss.back() < first_report.train_loss.front());
    }
    CHECK(same_bits(values<T>(flow), first));
    CHECK(report.train_loss == first_report.train_loss);
    CHECK(report.validation_loss == first_report.validation_loss);
    CHECK(report.train.mean == first_report.train.mean);
  }
}

TEST_CASE("another seed, another order") {
  const Matrix<double> y = make_data(100, 2);
  Flow a = affine_flow(2), b = affine_flow(2), c = affine_flow(2);
  fit(a, y, {.epochs = 2, .batch_size = 20, .seed = 1});
  fit(b, y, {.epochs = 2, .batch_size = 20, .seed = 1});
  fit(c, y, {.epochs = 2, .batch_size = 20, .seed = 2});
  CHECK(same_bits(values<double>(a), values<double>(b)));
  CHECK_FALSE(same_bits(values<double>(a), values<double>(c)));
}

TEST_CASE("storage order and strides of the data do not matter") {
  const Matrix<double> y = make_data(100, 3);
  const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> by_rows = y;
  Flow a = affine_flow(3), b = affine_flow(3);
  fit(a, y, {.epochs = 2, .batch_size = 20});
  fit(b, by_rows, {.epochs = 2, .batch_size = 20});
  CHECK(same_bits(values<double>(a), values<double>(b)));
}

TEST_CASE("reverse KL moves a flow onto a density that the user writes") {
  Flow flow(Normal<double>(2), Affine<double>(2));
  const Target<double> target = [](Pass<double>& pass, Var<double> y) {
    static_cast<void>(pass);
    // Mean (3, -1), standard deviations (0.5, 2), up to a constant.
    const Var<double> a = (columns(y, 0, 1) - 3.0) * 2.0, b = (columns(y, 1, 1) + 1.0) * 0.5;
    return row_sum(square(a) + square(b)) * -0.5;
  };
  const FitReport report = fit_reverse_kl(
      flow, target, {.epochs = 20, .batch_size = 200, .learning_rate = 0.05, .schedule = CosineSchedule{}});
  CHECK(flow.mean()[0] == Approx(3).margin(0.03));
  CHECK(flow.mean()[1] == Approx(-1).margin(0.1));
  CHECK(flow.stddev()[0] == Approx(0.5).epsilon(0.03));
  CHECK(flow.stddev()[1] == Approx(2).epsilon(0.03));
  CHECK(report.steps == 2000);
  // KL is 0 there, and the target's constant is known.
  CHECK(report.train_loss.back() == Approx(-std::log(2 * std::numbers::pi * 0.5 * 2)).margin(0.02));

  std::vector<double> first;
  for (const int threads : {1, 2, 3}) {
    Execution execution({.threads = threads, .all_always = true});
    Flow again = rich_flow(2);
    fit_reverse_kl(again, target, {.epochs = 1, .batch_size = 50, .steps_per_epoch = 5, .execution = execution});
    if (first.empty()) first = values<double>(again);
    CHECK(same_bits(values<double>(again), first));
  }
}
