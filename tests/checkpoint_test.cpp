// Interruption: a run that ends anywhere and is resumed ends with the same bits.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/training/fit.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/kill_and_resume.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

FitOptions<double> long_run(const std::filesystem::path& checkpoint) {
  return {.epochs = 12,
          .batch_size = 16,
          .learning_rate = 0.02,
          .schedule = PlateauSchedule{.patience = 1},
          .weight_decay = 1e-3,
          .validation_fraction = 0.3,
          .patience = 6,
          .seed = 6,
          .checkpoint = checkpoint,
          .checkpoint_every_steps = 1,
          .resume = true};
}
Matrix<double> long_run_data() {
  Matrix<double> y = make_data(90, 2);
  y.col(0) = (y.col(0).array() * 4).round() / 4;
  return y;
}

}  // namespace

TEST_CASE("a run that is cancelled anywhere and resumed ends with the same bits") {
  const TemporaryFolder folder;
  const Matrix<double> y = long_run_data();
  Flow uninterrupted = rich_flow(2);
  const FitReport whole = fit(uninterrupted, y, long_run(folder.path / "whole"));
  CHECK(whole.skipped_steps == 0);

  // Cancelled at every step in turn: each run does a few steps.
  Flow flow = rich_flow(2);
  FitReport report;
  Index parts = 0;
  do {
    flow = rich_flow(2);
    FitOptions<double> options = long_run(folder.path / "parts");
    options.checkpoint_every_steps = 0;
    options.checkpoint_every = 0;
    StopSource source;
    Index left = 3 + parts % 3;
    options.loss = [&](Pass<double>& pass, const Distribution<double>& f, Var<double> v) {
      if (pass.recording() && --left == 0) source.request_stop();
      return -f.log_prob(pass, v);
    };
    options.cancel = source.get_token();
    report = fit(flow, y, options);
    ++parts;
    REQUIRE(parts < 1000);
  } while (report.stop_reason == StopReason::cancelled);
  CHECK(parts > 5);
  CHECK(same_bits(values<double>(flow), values<double>(uninterrupted)));
  CHECK(report.train_loss == whole.train_loss);
  CHECK(report.validation_loss == whole.validation_loss);
  CHECK(report.best_epoch == whole.best_epoch);
  CHECK(report.steps == whole.steps);
  CHECK(report.train.mean == whole.train.mean);

  // The time of the runs before counts: the first one waits, so its clock has a lower bound whatever the machine does.
  constexpr double wait = 0.2;
  double first = 0, second = 0;
  const auto timed = [&](Index epochs, double& seconds) {
    Flow same = rich_flow(2);
    FitOptions<double> options = long_run(folder.path / "timed");
    options.callback = [&](const Progress& p) {
      if (p.epoch == 1) std::this_thread::sleep_for(std::chrono::duration<double>(wait));
      seconds = p.seconds;
      return p.epoch < epochs;
    };
    fit(same, y, options);
  };
  timed(3, first);
  timed(4, second);
  CHECK(first >= wait);
  CHECK(second >= wait);

  // Once more from the last checkpoint: nothing is left to do.
  flow = rich_flow(2);
  FitOptions<double> options = long_run(folder.path / "whole");
  const FitReport again = fit(flow, y, options);
  CHECK(again.steps == whole.steps);
  CHECK(same_bits(values<double>(flow), values<double>(uninterrupted)));
}

TEST_CASE("a checkpoint of another run is refused, naming what differs") {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path / "c";
  const Matrix<double> y = make_data(50, 2);
  Flow flow = affine_flow(2);
  const FitOptions<double> options{.epochs = 2, .batch_size = 10, .checkpoint = file, .resume = true};
  fit(flow, y, options);
  const std::vector<double> before = values<double>(flow);
  FitOptions<double> other = options;
  other.batch_size = 20;
  CHECK_THROWS_WITH(fit(flow, y, other), ContainsSubstring("batch_size was 10 there and is 20 here"));
  other = options;
  other.seed = 1;
  CHECK_THROWS_WITH(fit(flow, y, other), ContainsSubstring("seed"));
  Matrix<double> z = y;
  z(3, 1) += 1e-9;
  CHECK_THROWS_WITH(fit(flow, z, options), ContainsSubstring("data checksum"));
  CHECK_THROWS_WITH(fit(flow, make_data(40, 2), options),
                    ContainsSubstring("training rows") || ContainsSubstring("checksum"));
  Flow different(Normal<double>(2), ActNorm<double>(2));
  CHECK_THROWS_WITH(fit(different, y, options), ContainsSubstring("model"));
  CHECK(same_bits(values<double>(flow), before));
  // A longer run continues.
  other = options;
  other.epochs = 4;
  CHECK(fit(flow, y, other).train_loss.size() == 4);
  std::ofstream(file) << "garbage";
  CHECK_THROWS_AS(fit(flow, y, options), IoError);
}

TEST_CASE("a checkpoint does not replace parameters that were given") {
  const TemporaryFolder folder;
  const Matrix<double> y = make_data(50, 2);
  const auto given = [](double shift) {
    return Flow(Normal<double>(2), Chain<double>(ActNorm<double>(2), Elementwise<double>(AffineTransformer<double>(), 2,
                                                                                        {shift, shift, 0, 0})));
  };
  FitOptions<double> options{.epochs = 2, .checkpoint = folder.path / "c", .resume = true};
  Flow first = given(0.1), second = given(0.9), third = given(0.1);
  fit(first, y, options);
  const std::vector<double> before = values<double>(second);
  CHECK_THROWS_WITH(fit(second, y, options),
                    ContainsSubstring("belongs to another run: 'bijector.1.raw', which training leaves alone"));
  CHECK(same_bits(values<double>(second), before));
  options.epochs = 3;
  CHECK(fit(third, y, options).train_loss.size() == 3);
}

TEST_CASE("a checkpoint does not silently replace the state of another start") {
  const TemporaryFolder folder;
  const Matrix<double> y = make_data(60, 2);
  const auto says = [](const FitReport& report) {
    return std::count_if(report.warnings.begin(), report.warnings.end(),
                         [](const Notice& warning) { return warning.option == "resume"; });
  };
  FitOptions<double> options{.epochs = 2, .batch_size = 20, .checkpoint = folder.path / "c", .resume = true};
  Flow first = rich_flow(2), same = rich_flow(2), other = rich_flow(2), before = rich_flow(2);
  CHECK(says(fit(first, y, options)) == 0);
  options.epochs = 3;
  CHECK(says(fit(same, y, options)) == 0);
  options.epochs = 4;
  CHECK(says(fit(same, y, options)) == 0);  // where the run left it
  for (const Slot<double>& slot : list_state(static_cast<Component<double>&>(other)))
    if (slot.path.ends_with("moving_mean")) std::ranges::fill(slot.tensor->values(), 0.5);
  options.epochs = 5;
  const FitReport report = fit(other, y, options);
  REQUIRE(says(report) == 1);
  CHECK_THAT(to_text(report), ContainsSubstring("warning: the state that the flow was given") &&
                                  ContainsSubstring((folder.path / "c").string()));
  // What the file says of the start goes on through all parts of the run.
  options.epochs = 6;
  CHECK(says(fit(before, y, options)) == 0);
}

namespace {

std::vector<double> a_long_run(const std::filesystem::path& checkpoint) {
  FitOptions<double> options = long_run(checkpoint);
  if (checkpoint.empty()) {
    options.resume = false;
    options.checkpoint_every_steps = 0;
  }
  Flow flow = rich_flow(2);
  fit(flow, long_run_data(), options);
  return values(flow);
}

}  // namespace

TEST_CASE("a run that is killed and resumed ends with the same bits") { kill_and_resume(a_long_run, 10); }
TEST_CASE("a run that is killed at 100 random moments and resumed ends with the same bits", "[.slow]") {
  const Kills kills = kill_and_resume(a_long_run, 100);
  WARN(kills.delivered << " kills in " << kills.runs << " runs, " << kills.inside_a_write
                       << " of them while a checkpoint was written");
}
