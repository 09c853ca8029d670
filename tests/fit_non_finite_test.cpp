// Fits that leave the numbers: nothing that is not finite is kept, and the report says so.

#include <cmath>
#include <limits>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

Flow small_flow() { return maf<double>(2, {.layers = 2, .hidden = 16}); }

/// Plain descent that writes NaN into the first value of what it is given in step number `bad`.
class Poison final : public Optimizer<double> {
 public:
  explicit Poison(std::int64_t bad) : bad_(bad) {}

 private:
  Description do_describe() const override { return {.type = "poison", .constants = {}, .children = {}}; }
  void do_start() override {}
  std::vector<State> do_state() override { return {}; }
  void do_update(const Block& b) override {
    for (Index i = 0; i < b.count; ++i) b.value[i] -= b.rate * b.scale * b.gradient[i];
    if (b.steps == bad_) b.value[0] = std::nan("");
  }
  std::int64_t bad_;
};

void check_failed(const FitReport& report, const std::string& reason, const std::string& kept) {
  CHECK(report.stop_reason == StopReason::non_finite);
  CHECK_THAT(report.stop_text, ContainsSubstring(reason) && ContainsSubstring("smaller learning_rate or clip_norm"));
  CHECK_THAT(to_text(report), ContainsSubstring("warning: the fit failed; the flow is as it was " + kept));
  CHECK(to_text(report).find("-nan") == std::string::npos);
}

}  // namespace

TEST_CASE("a fit whose validation was never finite fails, and gives back the flow that it began with") {
  const Matrix<double> y = make_data(1000, 2);
  Flow flow = small_flow();
  const std::vector<double> before = values<double>(flow);
  const FitReport report = fit(flow, y, {.epochs = 2, .learning_rate = 1e300});
  CHECK(report.best_epoch == -1);
  check_failed(report, "no validation loss was finite in 2 epochs (the last: ", "before the first step");
  CHECK(same_bits(values<double>(flow), before));
  CHECK(std::isfinite(report.train.mean));
  CHECK(flow.log_prob(y).array().isFinite().all());
}

TEST_CASE("a loss that is NaN fails in words") {
  const Matrix<double> y = make_data(300, 2).array() - 100;
  FitOptions<double> options{.epochs = 1};
  options.loss = [](Pass<double>&, const Distribution<double>&, Var<double> rows) { return row_sum(log(rows)); };
  for (const double fraction : {0.1, 0.0}) {
    options.validation_fraction = fraction;
    Flow flow = small_flow();
    const std::vector<double> before = values<double>(flow);
    check_failed(fit(flow, y, options),
                 fraction > 0 ? "no validation loss was finite" : "all 1 epochs done, but the losses",
                 fraction > 0 ? "before the first step" : "at the start of the last epoch");
    CHECK(same_bits(values<double>(flow), before));
  }
}

TEST_CASE("without validation the last epoch that began well is kept") {
  const Matrix<double> y = make_data(1000, 2);
  Flow flow = small_flow();
  const std::vector<double> before = values<double>(flow);
  FitOptions<double> options{.epochs = 1, .learning_rate = 1e300, .validation_fraction = 0};
  check_failed(fit(flow, y, options), "all 1 epochs done, but", "at the start of the last epoch");
  CHECK(same_bits(values<double>(flow), before));
  // One step alone, whose loss was finite.
  options.batch_size = 1000;
  check_failed(fit(flow, y, options), "all 1 epochs done, but", "at the start of the last epoch");
  CHECK(same_bits(values<double>(flow), before));

  // Two epochs of ten steps are good; in the third the optimiser fails.
  options = {.epochs = 2, .batch_size = 100, .optimizer = Poison(25), .validation_fraction = 0};
  Flow good = small_flow();
  CHECK(fit(good, y, options).stop_reason == StopReason::completed);
  options.epochs = 5;
  check_failed(fit(flow, y, options), "the optimizer poison wrote a value that is not finite into", "at the start of");
  CHECK(same_bits(values<double>(flow), values<double>(good)));
}

TEST_CASE("an optimiser that writes NaN ends the fit with the best that there was") {
  const Matrix<double> y = make_data(1000, 2);
  Flow flow = small_flow(), best = flow;
  const std::vector<double> before = values<double>(flow);
  FitOptions<double> options{.epochs = 2, .batch_size = 90, .learning_rate = 1e-3, .optimizer = Poison(1)};
  FitReport report = fit(flow, y, options);
  check_failed(report, "in step 1; ", "before the first step");
  CHECK(report.steps == 1);
  CHECK(same_bits(values<double>(flow), before));
  options.optimizer = Poison(25);
  const FitReport two = fit(best, y, options);
  REQUIRE(two.best_epoch == 1);
  options.epochs = 5;
  report = fit(flow, y, options);
  check_failed(report, "in step 25; ", "at the best validation, of epoch 2");
  CHECK(report.best_epoch == 1);
  CHECK(same_bits(values<double>(flow), values<double>(best)));
}

TEST_CASE("a failing run that was interrupted keeps the same as one that was not") {
  const TemporaryFolder folder;
  const Matrix<double> y = make_data(1000, 2);
  for (const double fraction : {0.1, 0.0}) {
    // Step 23 is of the third epoch, before any validation.
    FitOptions<double> options{.epochs = 5, .batch_size = 100, .optimizer = Poison(23)};
    options.validation_fraction = fraction;
    options.validate_every = 100;
    Flow whole = small_flow(), parts = whole;
    const std::vector<double> before = values<double>(whole);
    fit(whole, y, options);
    CHECK(same_bits(values<double>(whole), before) == (fraction > 0));
    options.checkpoint = folder.path / (fraction > 0 ? "a" : "b");
    options.checkpoint_every_steps = 1;
    options.resume = true;
    Index left = 22;
    StopSource source;
    options.loss = [&](Pass<double>& pass, const Distribution<double>& f, Var<double> v) {
      if (pass.recording() && --left == 0) source.request_stop();
      return -f.log_prob(pass, v);
    };
    options.cancel = source.get_token();
    CHECK(fit(parts, y, options).stop_reason == StopReason::cancelled);
    options.cancel = {};
    parts = small_flow();
    CHECK(fit(parts, y, options).stop_reason == StopReason::non_finite);
    CHECK(same_bits(values<double>(parts), values<double>(whole)));
  }
}

TEST_CASE("one row of density 0 is a finding about the row, and no failure without validation") {
  Matrix<double> y = make_data(200, 2);
  y(17, 0) = 1e200;
  Flow flow = affine_flow(2);
  const FitReport report =
      fit(flow, y, {.epochs = 3, .batch_size = 20, .validation_fraction = 0});
  CHECK(report.stop_reason == StopReason::completed);
  CHECK(report.skipped_steps == 3);
  CHECK(report.train.mean == -inf);
}

TEST_CASE("normalisation statistics that are no longer finite end a fit in a report, not in an exception") {
  const Matrix<double> y = make_data(500, 2);
  for (const double fraction : {0.1, 0.0}) {
    auto flow = maf<double>(2, {.layers = 2, .hidden = 16, .batch_norm = true});
    const FitReport report = fit(flow, y, {.epochs = 2, .learning_rate = 1e300, .validation_fraction = fraction});
    CHECK(report.stop_reason == StopReason::non_finite);
    CHECK(flow.log_prob(y).array().isFinite().all());
  }
}

TEST_CASE("fit_reverse_kl gives back what it began with where its samples leave the numbers") {
  Flow flow = small_flow();
  const std::vector<double> before = values<double>(flow);
  const Target<double> target = [](Pass<double>&, Var<double> y) { return -0.5 * row_sum_of_squares(y); };
  const FitOptions<double> options{.epochs = 1, .learning_rate = 1e300, .steps_per_epoch = 3};
  check_failed(fit_reverse_kl(flow, target, options), "all 1 epochs done, but", "at the start of the last epoch");
  CHECK(same_bits(values<double>(flow), before));
  FitOptions<double> good{.epochs = 2, .steps_per_epoch = 3};
  CHECK(fit_reverse_kl(flow, target, good).stop_reason == StopReason::completed);
}
