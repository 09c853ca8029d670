// What fit is told and what it reports: steps that are not finite, early stopping, validation, cancelling, penalties,
// repeated values.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <future>
#include <limits>
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/shift.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/quantized.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/training.hpp"
#include "src/training/rows.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Minus log_prob, and NaN in the steps that `poison` names; for one thread.
Loss<double> poisoned(std::function<bool(Index)> poison) {
  const auto step = std::make_shared<Index>(0);
  return [poison = std::move(poison), step](Pass<double>& pass, const Distribution<double>& flow, Var<double> y) {
    const Column<double> loss = -flow.log_prob(pass, y);
    if (!pass.recording() || !poison((*step)++)) return loss;
    return multiply(loss, constant_column(pass.tape(), std::numeric_limits<double>::quiet_NaN()));
  };
}

}  // namespace

TEST_CASE("a step that is not finite changes nothing and is counted") {
  const Matrix<double> y = make_data(100, 2);
  Flow flow = rich_flow(2);
  {
    // All but the start of ActNorm.
    FitReport report = fit(flow, y, {.epochs = 0, .validation_fraction = 0});
    CHECK(report.steps == 0);
  }
  const std::vector<double> before = values<double>(flow);
  FitReport report = fit(flow, y,
                         {.epochs = 5,
                          .batch_size = 20,
                          .validation_fraction = 0,
                          .statistics = EvaluationStatistics::running,
                          .max_consecutive_skips = 7,
                          .loss = poisoned([](Index) { return true; })});
  CHECK(same_bits(values<double>(flow), before));
  CHECK(report.skipped_steps == 7);
  CHECK(report.steps == 7);
  CHECK(report.stop_reason == StopReason::non_finite);
  CHECK_THAT(report.stop_text, ContainsSubstring("not finite"));

  // Poison in between: as if the step had not been, Adam's count included.
  Flow a = affine_flow(2), b = affine_flow(2);
  const FitOptions<double> options{.epochs = 1, .batch_size = 100, .validation_fraction = 0};
  fit(a, y, options);
  FitOptions<double> twice = options;
  twice.epochs = 2;
  twice.loss = poisoned([](Index step) { return step == 0; });
  report = fit(b, y, twice);
  CHECK(report.skipped_steps == 1);
  const std::vector<double> va = values<double>(a), vb = values<double>(b);
  for (std::size_t i = 0; i < va.size(); ++i) CHECK(vb[i] == Approx(va[i]).epsilon(1e-10));  // another order of rows
  CHECK_THAT(to_text(report), ContainsSubstring("warning: 1 of 2 steps"));
}

TEST_CASE("early stopping restores the best parameters") {
  // Few rows and many parameters: training overfits.
  const Matrix<double> y = make_data(60, 2), validation = make_data(500, 2, 77);
  Flow flow = maf<double>(2, {.layers = 3, .hidden = 32, .blocks = 1, .seed = 3});
  const FitReport report =
      fit(flow, y, {.epochs = 400, .batch_size = 20, .learning_rate = 0.01, .validation = validation, .patience = 10});
  REQUIRE(report.stop_reason == StopReason::early_stopping);
  const auto best = std::min_element(report.validation_loss.begin(), report.validation_loss.end());
  CHECK(report.best_epoch == best - report.validation_loss.begin());
  CHECK(static_cast<Index>(report.validation_loss.size()) == report.best_epoch + 11);
  CHECK(-flow.log_prob(validation).mean() == Approx(*best).epsilon(1e-12));
  CHECK(report.validation.mean == Approx(-*best).epsilon(1e-12));
  CHECK(report.validation_rows == 500);
  CHECK(report.train_rows == 60);
}

TEST_CASE("the validation split is disjoint, and weights of zero leave rows out") {
  const Matrix<double> y = make_data(100, 2);
  std::vector<double> weights(100, 1.0);
  weights[7] = weights[8] = 0;
  const FitOptions<double> options{.weights = weights, .validation_fraction = 0.25, .seed = 3};
  const detail::FitRows<double> rows("test", Space::real(2), 0, y, options);
  CHECK(rows.validation_count() == 24);
  CHECK(rows.train().size() == 74);
  std::vector<int> seen(100, 0);
  for (const std::int64_t row : rows.train()) ++seen[static_cast<std::size_t>(row)];
  for (Index i = 0; i < 24; ++i) ++seen[static_cast<std::size_t>(rows.validation_source().row(i))];
  for (std::size_t i = 0; i < 100; ++i) CHECK(seen[i] == (i == 7 || i == 8 ? 0 : 1));
}

TEST_CASE("cancelling, progress and callback") {
  const Matrix<double> y = make_data(300, 2);
  std::ostringstream lines;
  Index calls = 0;
  Flow flow = affine_flow(2);
  FitReport report = fit(flow, y,
                         {.epochs = 50,
                          .batch_size = 30,
                          .callback =
                              [&](const Progress& p) {
                                CHECK(p.epoch == ++calls);
                                CHECK(p.epochs == 50);
                                CHECK(std::isfinite(p.validation_loss));
                                CHECK(p.seconds_left > 0);
                                return p.epoch < 3;
                              },
                          .progress = &lines});
  CHECK(calls == 3);
  CHECK(report.stop_reason == StopReason::cancelled);
  CHECK(report.train_loss.size() == 3);
  CHECK_THAT(lines.str(), ContainsSubstring("epoch 3/50  loss "));
  double left = -1;
  fit(flow, y, {.epochs = 2, .callback = [&](const Progress& p) { return left = p.seconds_left, true; }});
  CHECK(left == 0);

  // From another thread, in the middle of an epoch that would take for ever: no step begins after the one that may have
  // begun already.
  StopSource source;
  std::atomic<Index> steps = 0, late = 0;
  const std::future<void> other = std::async(std::launch::async, [&] {
    for (Index seen = 0; (seen = steps) < 5;) steps.wait(seen);
    source.request_stop();
  });
  const auto counted = [&](Pass<double>& pass, const Distribution<double>& f, Var<double> v) {
    late += source.stop_requested() ? 1 : 0;
    ++steps;
    steps.notify_all();
    return -f.log_prob(pass, v);
  };
  report = fit(
      flow, y,
      {.epochs = 100000, .batch_size = 1, .validation_fraction = 0, .loss = counted, .cancel = source.get_token()});
  CHECK(report.stop_reason == StopReason::cancelled);
  CHECK(late <= 1);
}

TEST_CASE("penalties, constraints and frozen parameters") {
  struct Shift final : public ElementwiseBijector<double> {
    explicit Shift(Attributes<double> a) : ElementwiseBijector<double>("Shift", 1), attributes(std::move(a)) {}
    Elements do_forward_elements(Pass<double>& p, Var<double> x) const override { return {x + p.parameter(value), {}}; }
    Elements do_inverse_elements(Pass<double>& p, Var<double> y) const override { return {y - p.parameter(value), {}}; }
    void do_fields(Fields<double>& f) override {
      f.type("shift_of_the_test");
      f.parameter("value", value, {1}, attributes);
    }
    Tensor<double> value{{1}};
    Attributes<double> attributes;
  };
  Matrix<double> y = make_data(200, 1);
  y.array() += 5 - y.mean();
  const auto fitted = [&](Attributes<double> attributes) {
    Flow flow(Normal<double>(1), Shift(std::move(attributes)));
    fit(flow, y,
        {.epochs = 300,
         .batch_size = 200,
         .learning_rate = 0.1,
         .schedule = CosineSchedule{},
         .validation_fraction = 0,
         .loss = [](Pass<double>& pass, const Distribution<double>& f, Var<double> v) {
           const auto& t = static_cast<const Flow&>(f);
           const Var<double> x = t.bijector().inverse(pass, v).value;
           return row_sum(square(x)) * 0.5;
         }});
    return static_cast<const Shift&>(flow.bijector()).value[0];
  };
  CHECK(fitted({}) == Approx(5).margin(1e-3));
  // (5 - s)^2 / 2 + s^2 / 2 is least at s = 2.5.
  CHECK(fitted({.regularizer = [](Var<double> s) { return row_sum(square(s)) * 0.5; }}) == Approx(2.5).margin(1e-3));
  CHECK(fitted({.constraint = [](Tensor<double>& t) { t[0] = std::min(t[0], 1.0); }}) == 1.0);
  CHECK(fitted({.trainable = false}) == 0.0);
}

TEST_CASE("fit rejects what it cannot use") {
  Matrix<double> y = make_data(20, 2);
  Flow flow = affine_flow(2);
  CHECK_THROWS_AS(fit(flow, Matrix<double>(20, 3)), ShapeError);
  CHECK_THROWS_AS(fit(flow, Matrix<double>(0, 2)), DomainError);
  CHECK_THROWS_AS(fit(flow, y, {.context = y}), ShapeError);
  CHECK_THROWS_AS(fit(flow, y, {.batch_size = 0}), DomainError);
  CHECK_THROWS_AS(fit(flow, y, {.epochs = -1}), DomainError);
  CHECK_THROWS_AS(fit(flow, y, {.learning_rate = 0}), DomainError);
  CHECK_THROWS_AS(fit(flow, y, {.resume = true}), DomainError);
  const std::vector<double> short_weights(3, 1.0), zero(20, 0.0);
  std::vector<double> negative(20, 1.0);
  negative[4] = -1;
  CHECK_THROWS_AS(fit(flow, y, {.weights = short_weights}), ShapeError);
  CHECK_THROWS_WITH(fit(flow, y, {.weights = zero}), ContainsSubstring("all weights are zero"));
  CHECK_THROWS_WITH(fit(flow, y, {.weights = negative}), ContainsSubstring("row 4"));
  CHECK_NOTHROW(
      fit(flow, y, {.epochs = 1, .weights = negative, .allow_negative_weights = true, .validation_fraction = 0}));
  y(3, 1) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(fit(flow, y), ContainsSubstring("row 3, column 1"));
  y(3, 1) = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(fit(flow, y), ContainsSubstring("row 3, column 1"));

  Flow positive_flow(Normal<double>(1), Exp<double>(1));
  Matrix<double> z = Matrix<double>::Ones(5, 1);
  z(2, 0) = -1;
  CHECK_THROWS_WITH(fit(positive_flow, z), ContainsSubstring("row 2, column 0"));
  z(2, 0) = 0;
  CHECK_THROWS_WITH(fit(positive_flow, z, {.validation_fraction = 0}), ContainsSubstring("row 2"));
}

TEST_CASE("one row and fewer rows than a batch") {
  Flow flow = affine_flow(2);
  CHECK_NOTHROW(fit(flow, make_data(1, 2), {.epochs = 2}));
  CHECK_NOTHROW(fit(flow, make_data(17, 2), {.epochs = 2, .batch_size = 256}));
}

// ---------------------------------------------------------------------------------------------------- early stopping

TEST_CASE("one far row does not decide when a training ends") {
  // As the scale falls from 1 to 0.3, the validation rows gain about 0.75 nats each, and the far one loses 300.
  Engine engine(2);
  const Matrix<double> y = 0.3 * Normal<double>(1).sample(500, engine);
  Matrix<double> validation = 0.3 * Normal<double>(1).sample(100, engine);
  const auto run = [&](const Matrix<double>& rows) {
    Normal<double> model(1);
    const FitReport report = fit(model, y, {.epochs = 80, .batch_size = 100, .learning_rate = 0.02,
                                            .validation = rows, .patience = 5});
    return std::pair{report, model.stddev()[0]};
  };
  const auto [usual, scale] = run(validation);
  const auto least = std::min_element(usual.validation_loss.begin(), usual.validation_loss.end());
  CHECK(usual.best_epoch == least - usual.validation_loss.begin());
  CHECK(std::abs(scale - 0.3) < 0.04);
  validation(17, 0) = 8;
  const auto [report, other] = run(validation);
  CHECK(std::abs(other - 0.3) < 0.1);
  CHECK(report.best_epoch > 10);
  // What is reported is the mean of all rows, the far one among them.
  CHECK(report.validation_loss[static_cast<std::size_t>(report.best_epoch)] == Approx(-report.validation.mean));
  CHECK(report.validation_loss[static_cast<std::size_t>(report.best_epoch)] > report.validation_loss[0]);
}

// --------------------------------------------------------------------------------------------------- repeated values

TEST_CASE("repeated values are reported with what they are: a grid, an atom, copies, one value") {
  Matrix<double> y = make_data(400, 4);
  y.col(1) = (y.col(1).array() * 2).round() / 4;           // steps of 0.25
  y.col(2) = y.col(2).array().max(0.0);                    // many of them 0
  y.col(3).bottomRows(200) = y.col(3).topRows(200);        // copies
  Flow flow = affine_flow(4);
  const FitReport report = fit(flow, y, {.epochs = 1, .validation_fraction = 0});
  REQUIRE(report.warnings.size() >= 3);
  CHECK_THAT(report.warnings[0],
             ContainsSubstring("column 1") && ContainsSubstring("0.25") && ContainsSubstring("Quantized gives"));
  CHECK(report.warnings[0].option == "rounded");
  CHECK_THAT(report.warnings[1], ContainsSubstring("column 2") && ContainsSubstring("% of the values are 0: no density"));
  CHECK_THAT(report.warnings[2], ContainsSubstring("column 3") && ContainsSubstring("look for rows that were copied"));
  CHECK(report.repeated_values[0].share == 0);
  CHECK(report.repeated_values[1].share > 0.8);
  CHECK(report.repeated_values[1].smallest_step == 0.25);
  CHECK(report.repeated_values[2].commonest == 0);
  CHECK(report.repeated_values[2].commonest_share == (y.col(2).array() == 0).cast<double>().mean());
  // A model that knows the grid has nothing to be told.
  Quantized<double> known(affine_flow(4), {{1, {0, 0.25}}});
  for (const Notice& warning : fit(known, y, {.epochs = 1}).warnings) CHECK_THAT(warning, !ContainsSubstring("column 1"));

  // A continuous float variable repeats numbers too, which means nothing.
  Engine engine(3);
  Matrix<float> u(200000, 1);
  engine.next_call().uniform(0, 200000, 1, u.data(), 200000);
  const detail::FitRows<float> fine("test", Space::real(1), 0, u, {});
  CHECK(fine.warnings().empty());
  const detail::FitRows<double> constant("test", Space::real(1), 0, Matrix<double>(Matrix<double>::Constant(50, 1, 2.0)), {});
  REQUIRE(constant.warnings().size() == 1);
  CHECK_THAT(constant.warnings()[0], ContainsSubstring("column 0 holds one value only"));
  Matrix<double> flat = y.leftCols(3);
  flat.col(0).setConstant(2);
  flat.col(2).setConstant(0.1);
  const std::vector<Notice> all = detail::FitRows<double>("test", Space::real(3), 0, flat, {}).warnings();
  const auto both = std::find_if(all.begin(), all.end(), [](const Notice& n) { return n.option == "drop"; });
  REQUIRE(both != all.end());
  CHECK(both->columns == std::vector<std::ptrdiff_t>{0, 2});
  CHECK_THAT(*both, ContainsSubstring("columns 0, 2 hold one value each"));
}

TEST_CASE("two or three of few rows that meet by chance are no atom") {
  // Five digits of a uniform variable: in a few of 300 columns two or three of 200 rows are equal.
  Engine engine(5);
  Matrix<double> y = Uniform<double>(300).sample(200, engine);
  y = (y.array() * 1e5).round() / 1e5;
  Flow flow(Normal<double>(300), Shift<double>(300));
  CHECK(fit(flow, y, {.epochs = 1, .validation_fraction = 0}).warnings.empty());
  for (Index i = 0; i < 6; ++i) y(20 * i, 7) = 0.5;
  const FitReport report = fit(flow, y, {.epochs = 1, .validation_fraction = 0});
  REQUIRE(report.warnings.size() == 1);
  CHECK_THAT(report.warnings.front().problem, ContainsSubstring("of the values are 0.5"));
}
