// Optimisers within `fit`: bits on any number of threads, interruption, averages, the full batch.

#include <Eigen/Cholesky>
#include <cmath>
#include <filesystem>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/ema.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/lbfgs.hpp>
#include <pushforward/training/lion.hpp>
#include <pushforward/training/sgd.hpp>

#include "tests/catch.hpp"
#include "tests/kill_and_resume.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<std::pair<std::string, Poly<Optimizer<double>>>> optimizers() {
  std::vector<std::pair<std::string, Poly<Optimizer<double>>>> all;
  all.emplace_back("adam", Adam<double>());
  all.emplace_back("sgd", Sgd<double>());
  all.emplace_back("sgd with momentum", Sgd<double>({.momentum = 0.9, .nesterov = true}));
  all.emplace_back("lion", Lion<double>());
  all.emplace_back("adam averaged", Ema<double>(Adam<double>(), {.decay = 0.9}));
  all.emplace_back("lbfgs", LBfgs<double>({.memory = 4, .iterations = 3}));
  return all;
}

FitOptions<double> a_run(const Optimizer<double>& optimizer, const Poly<Optimizer<double>>& own) {
  return {.epochs = 8,
          .batch_size = optimizer.needs_full_batch() ? 100 : 16,
          .learning_rate = 0.01,
          .weight_decay = 1e-3,
          .optimizer = own,
          .validation_fraction = 0.3,
          .patience = 6,
          .seed = 6};
}

}  // namespace

TEST_CASE("every optimiser: the same bits on any number of threads, and the loss goes down") {
  const Matrix<double> y = make_data(90, 2);
  for (const auto& [name, optimizer] : optimizers()) {
    INFO(name);
    std::vector<double> first;
    for (const int threads : {1, 2, 3}) {
      Execution execution({.threads = threads, .all_always = true});
      FitOptions<double> options = a_run(*optimizer, optimizer);
      options.execution = execution;
      Flow flow = rich_flow(2);
      const FitReport report = fit(flow, y, options);
      CHECK(report.skipped_steps == 0);
      CHECK(report.train_loss.back() < report.train_loss.front());
      if (first.empty()) first = values(flow);
      CHECK(same_bits(values(flow), first));
    }
  }
}

TEST_CASE("every optimiser: a run that is cancelled anywhere and resumed ends with the same bits") {
  const TemporaryFolder folder;
  const Matrix<double> y = make_data(90, 2);
  for (const auto& [name, optimizer] : optimizers()) {
    INFO(name);
    FitOptions<double> options = a_run(*optimizer, optimizer);
    Flow uninterrupted = rich_flow(2);
    const FitReport whole = fit(uninterrupted, y, options);
    options.checkpoint = folder.path / name;
    options.checkpoint_every = 0;
    options.resume = true;
    Flow flow = rich_flow(2);
    FitReport report;
    int parts = 0;
    do {
      flow = rich_flow(2);
      StopSource source;
      Index left = 4 + parts % 3;
      options.loss = [&](Pass<double>& pass, const Distribution<double>& f, Var<double> v) {
        if (pass.recording() && --left == 0) source.request_stop();
        return -f.log_prob(pass, v);
      };
      options.cancel = source.get_token();
      report = fit(flow, y, options);
      REQUIRE(++parts < 1000);
    } while (report.stop_reason == StopReason::cancelled);
    CHECK(parts > 1);
    CHECK(same_bits(values(flow), values(uninterrupted)));
    CHECK(report.validation_loss == whole.validation_loss);
    CHECK(report.steps == whole.steps);
  }
}

TEST_CASE("a checkpoint belongs to one optimiser with its settings") {
  const TemporaryFolder folder;
  const Matrix<double> y = make_data(50, 2);
  FitOptions<double> options{
      .epochs = 2, .optimizer = Lion<double>(), .checkpoint = folder.path / "c", .resume = true};
  Flow flow(Normal<double>(2), Affine<double>(2));
  fit(flow, y, options);
  options.optimizer = Lion<double>({.beta2 = 0.98});
  CHECK_THROWS_WITH(fit(flow, y, options), ContainsSubstring("beta2=0.99") && ContainsSubstring("beta2=0.98"));
  options.optimizer = Ema<double>(Lion<double>());
  CHECK_THROWS_WITH(fit(flow, y, options), ContainsSubstring("optimizer was lion") && ContainsSubstring("here"));
}

TEST_CASE("a checkpoint that 0.1 wrote is continued to the bit") {
  // Half of a run of four epochs, and what the other half gave there.
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path / "c";
  std::filesystem::copy_file(std::filesystem::path(PUSHFORWARD_TEST_DATA) / "checkpoints/adam_0_1.checkpoint", file);
  Matrix<double> y(40, 2);
  Engine(1).next_call().normal(0, 40, 2, y.data(), 40);
  y.col(1) += 0.6 * y.col(0).array().square().matrix();
  FitOptions<double> options{.epochs = 4,
                             .batch_size = 10,
                             .learning_rate = 0.05,
                             .weight_decay = 1e-3,
                             .seed = 6,
                             .checkpoint = file,
                             .resume = true};
  Flow flow(Normal<double>(2), Affine<double>(2));
  options.optimizer = Adam<double>({.beta2 = 0.99});
  CHECK_THROWS_WITH(fit(flow, y, options), ContainsSubstring("beta2=0.999,") && ContainsSubstring("beta2=0.99,"));
  options.optimizer = Adam<double>();
  const FitReport report = fit(flow, y, options);
  CHECK(report.train_loss.size() == 4);
  CHECK(values(flow) == std::vector<double>{-0.088567336525871732, 0.26004858920916535, -0.080330531374296396,
                                            0.089034938667361924, -0.086484178503688447, 0.25932271180491945,
                                            -0.092612755145275991, 0.088851080660192955});
}

// ------------------------------------------------------------------------------------------------------------- killed

namespace {

void kill_and_resume_each(int kills) {
  for (const auto& [name, optimizer] : optimizers()) {
    INFO(name);
    const FitOptions<double> options = a_run(*optimizer, optimizer);
    const auto run = [&](const std::filesystem::path& checkpoint) {
      FitOptions<double> own = options;
      if (!checkpoint.empty()) {
        own.checkpoint = checkpoint;
        own.checkpoint_every_steps = 1;
        own.resume = true;
      }
      Flow flow = rich_flow(2);
      fit(flow, make_data(90, 2), own);
      return values(flow);
    };
    kill_and_resume(run, kills);
  }
}

}  // namespace

TEST_CASE("every optimiser: a run that is killed and resumed ends with the same bits") { kill_and_resume_each(4); }
TEST_CASE("every optimiser: killed at 50 random moments", "[.slow]") { kill_and_resume_each(50); }

// ----------------------------------------------------------------------------------------------------------- averages

TEST_CASE("with Ema validation and the final model use the averaged weights, the steps do not") {
  const Matrix<double> y = make_data(200, 2), validation = make_data(300, 2);
  FitOptions<double> options{.epochs = 3, .batch_size = 50, .learning_rate = 0.05, .validation_fraction = 0};
  const double decay = 0.8;
  Flow flow(Normal<double>(2), Affine<double>(2)), averaged = flow;

  // The averages by hand: the parameters are seen before every step after the first, and at the end.
  std::vector<std::vector<double>> seen;
  FitOptions<double> watching = options;
  watching.loss = [&](Pass<double>& pass, const Distribution<double>& f, Var<double> v) {
    if (pass.recording()) seen.push_back(values(static_cast<const Flow&>(f)));
    return -f.log_prob(pass, v);
  };
  fit(flow, y, watching);
  seen.push_back(values(flow));
  const auto average = [&](std::size_t steps) {
    std::vector<double> sum(seen[0].size());
    double weight = 0;
    for (std::size_t t = 1; t <= steps; ++t) {
      weight = decay * weight + 1;
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = decay * sum[i] + seen[t][i];
    }
    for (double& s : sum) s /= weight;
    return sum;
  };
  options.optimizer = Ema<double>(Adam<double>(), {.decay = decay});
  fit(averaged, y, options);
  REQUIRE(seen.size() == 13);
  const std::vector<double> expected = average(12), got = values(averaged);
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(expected[i]).epsilon(1e-12));
  CHECK(got != values(flow));

  // Validation, epoch by epoch: that of the averages; the training losses are those of the steps' own parameters.
  const Flow untouched(Normal<double>(2), Affine<double>(2));
  options.validation = validation;
  Flow judged = untouched;
  const FitReport report = fit(judged, y, options);
  Flow plain = untouched;
  options.optimizer = Adam<double>();
  CHECK(report.train_loss == fit(plain, y, options).train_loss);
  for (std::size_t epoch = 0; epoch < 3; ++epoch) {
    Flow at = untouched;
    const std::vector<double> mean = average(4 * (epoch + 1));
    std::size_t next = 0;
    for (const Slot<double>& slot : list_state(static_cast<Component<double>&>(at)))
      for (double& v : slot.tensor->values()) v = mean[next++];
    CHECK(report.validation_loss[epoch] == Approx(-at.log_prob(validation).mean()).epsilon(1e-12));
  }
}

// ------------------------------------------------------------------------------------------------------------- L-BFGS

TEST_CASE("LBfgs fits a Gaussian to the closed-form maximum likelihood") {
  const Matrix<double> y = make_data(500, 3);
  MultivariateNormalTriL<double> gaussian(3);
  const FitReport report = fit(
      gaussian, y, {.epochs = 8, .batch_size = 500, .optimizer = LBfgs<double>(), .validation_fraction = 0});
  CHECK(report.stop_reason == StopReason::completed);
  const Eigen::RowVectorXd mean = y.colwise().mean();
  const Eigen::MatrixXd centred = y.rowwise() - mean, covariance = centred.transpose() * centred / 500.0;
  const Eigen::MatrixXd lower = covariance.llt().matrixL();
  for (Index c = 0; c < 3; ++c) CHECK(gaussian.loc()[c] == Approx(mean[c]).epsilon(1e-8).margin(1e-8));
  CHECK((gaussian.scale_tril() - lower).cwiseAbs().maxCoeff() < 1e-8);
}

TEST_CASE("the line search of LBfgs hits the minimum of a cubic at its second trial") {
  // Of rows at 1 and -1, log N(y - t) differs by 2 t. The loss 8 (t^3 / 3 - t / 4) has slope -2 at 0, so the first trial is
  // t = 1, which is too high, and its minimum at 1 / 2.
  const Matrix<double> y = Matrix<double>::Ones(4, 1);
  Normal<double> normal(1);
  Index trials = 0;
  const auto cubic = [&](Pass<double>& pass, const Distribution<double>& f, Var<double> v) {
    ++trials;
    const Column<double> t = (f.log_prob(pass, v) - f.log_prob(pass, v * -1.0)) * 0.5;
    return multiply(multiply(t, t), t) * (8.0 / 3) - t * 2.0;
  };
  fit(normal, y,
      {.epochs = 1,
       .batch_size = 4,
       .optimizer = LBfgs<double>({.iterations = 1}),
       .validation_fraction = 0,
       .loss = cubic});
  CHECK(normal.loc()[0] == Approx(0.5).epsilon(1e-12));
  CHECK(trials <= 4);  // at 0, 1 and 1/2, and the loss of the rows at the end
}

TEST_CASE("LBfgs wants all rows in one batch") {
  const Matrix<double> y = make_data(100, 2);
  Flow flow(Normal<double>(2), Affine<double>(2));
  CHECK_THROWS_WITH(fit(flow, y, {.batch_size = 20, .optimizer = LBfgs<double>()}),
                    ContainsSubstring("lbfgs") && ContainsSubstring("training rows, 90, got 20"));
  const Target<double> target = [](Pass<double>&, Var<double> v) { return row_sum(square(v)) * -0.5; };
  CHECK_THROWS_WITH(fit_reverse_kl(flow, target, {.optimizer = LBfgs<double>()}), ContainsSubstring("lbfgs"));
}
