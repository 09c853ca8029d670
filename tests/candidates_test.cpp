// The candidates that fit_best takes by itself, and presets as candidates; what a cancelled race has.

#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/training/fit_best.hpp>
#include <pushforward/training/gaussian_mixture.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("default candidates: the Gaussian starts without correlations, flows from the columns, wide tables with few") {
  Engine engine(14);
  Matrix<double> y = MultivariateNormalDiag<double>::standard(2).sample(60, engine);
  y.col(1) += 3 * y.col(0);
  for (Candidate<double>& c : default_candidates<double>(60, 2)) {
    CHECK(c.whiten == !c.trains);
    if (c.name != "gaussian" && c.name != "maf, small") continue;
    const Best<double> best = fit_best(MatrixView<const double>(y), {.candidates = {c}, .steps = 20, .folds = 2});
    CHECK((to_text<double>(*best.model).find("whiten") != std::string::npos) == c.whiten);
  }
  CHECK(default_candidates<double>(200, 5000).size() == 2);
  CHECK(default_candidates<double>(200, 1000).size() > 4);
  CHECK(default_candidates<double>(200, 1000).front().name == "gaussian");
  CHECK(default_candidates<double>(20'000, 2).back().name == "nsf_ar, large");
  CHECK(default_candidates<double>(19'999, 2).size() + 1 == default_candidates<double>(20'000, 2).size());
  CHECK(default_steps(1'999) == 40'000);
  CHECK(default_steps(2'000) == 10'000);
  CHECK(default_steps(1'000'000) == 40'000);
  CHECK(default_steps(1'000'000, 100) == 40'000);
  CHECK(default_steps(1'000'000, 400) == 10'000);
  CHECK(default_steps(1'000'000, 5'000) == 2'000);
}

TEST_CASE("what is to be said of the data is said whoever wins") {
  Engine engine(15);
  Matrix<double> y = MultivariateNormalDiag<double>::standard(2).sample(400, engine);
  y.col(0) = y.col(0).array().max(0.0);
  for (Candidate<double>& c : default_candidates<double>(400, 2)) {
    if (c.name != "gaussian" && c.name != "maf, small") continue;
    const Best<double> best =
        fit_best(MatrixView<const double>(y), {.candidates = {c}, .steps = 40, .rounded = std::vector<GridColumn>()});
    REQUIRE_FALSE(best.report.warnings.empty());
    CHECK(best.report.warnings.front().columns == std::vector<std::ptrdiff_t>{0});
    CHECK_THAT(best.report.warnings.front().problem, ContainsSubstring("of the values are 0"));
  }
}

TEST_CASE("A race that is cancelled before it begins has what is fitted by then, or says that nothing is") {
  Engine engine(3);
  const Matrix<double> y = MultivariateNormalDiag<double>::standard(2).sample(400, engine);
  const Candidate<double> gaussian = default_candidates<double>(400, 2).front();
  StopSource source;
  const auto stopping = [&](const char* name) {
    return Candidate<double>{name, [&source](const CandidateTask<double>& task) -> Poly<Distribution<double>> {
                               source.request_stop();
                               return fit_gaussian_mixture<double>(task.data, 2, {.cancel = task.cancel});
                             },
                             false};
  };
  FitBestOptions<double> options{
      .candidates = {flow_candidate<double>("maf", "maf", {.layers = 1, .hidden = 8}), gaussian, stopping("two"), gaussian},
      .steps = 100,
      .folds = 1};
  options.fit.cancel = source.get_token();
  const Best<double> best = fit_best(MatrixView<const double>(y), options);
  CHECK_FALSE(best.complete);
  REQUIRE(best.candidates.size() == 4);
  CHECK((best.candidates[0].problem.empty() && best.candidates[1].problem.empty()));
  for (const Index i : {2, 3}) CHECK(best.candidates[static_cast<std::size_t>(i)].problem == "cancelled before it started");
  CHECK(best.model->log_prob(y).allFinite());
  CHECK_THROWS_WITH(fit_best(MatrixView<const double>(y), options), ContainsSubstring("no candidate could be fitted") &&
                                                                        ContainsSubstring("maf: cancelled"));
}

TEST_CASE("A preset as a candidate takes its options, and of the tails only what they leave open") {
  const auto started = [](const FlowOptions& options, std::vector<double> tails) {
    const Matrix<double> y = Matrix<double>::Zero(10, 2);
    CandidateTask<double> task;
    task.dim = 2;
    task.context_dim = 1;
    task.data = y;
    task.tails = std::move(tails);
    return flow_candidate<double>("x", "maf", options).start(task);
  };
  const auto text = [&](const FlowOptions& options, std::vector<double> tails) {
    return to_text(*started(options, std::move(tails)));
  };
  CHECK_THAT(text({.layers = 1}, {}), !ContainsSubstring("student_t"));
  CHECK_THAT(text({.layers = 1}, {3, 4}), ContainsSubstring("student_t"));
  CHECK_THAT(text({.layers = 1, .base = Base::logistic}, {3, 4}), ContainsSubstring("base: logistic"));
  CHECK(started({.layers = 1}, {})->context_dim() == 1);
  CHECK_THROWS_WITH(flow_candidate<double>("x", "mafia"), ContainsSubstring("mafia"));
}
