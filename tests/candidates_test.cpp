// The candidates that fit_best takes by itself.

#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/training/fit_best.hpp>

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
