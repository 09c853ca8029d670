// A loss that is an empty column trains nothing, and is refused by the option that gave it.

#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/training/fit.hpp>
#include <string>

#include "tests/catch.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::StartsWith;

TEST_CASE("an empty column is no loss") {
  const Matrix<double> y = make_data(60, 2);
  const auto refused = [&](const FitOptions<double>& options, const std::string& option) {
    Flow flow = affine_flow(2);
    const std::vector<double> before = values<double>(flow);
    CHECK_THROWS_AS(fit(flow, y, options), ShapeError);
    CHECK_THROWS_WITH(fit(flow, y, options),
                      StartsWith(option + ": expected a column with the loss, got an empty one"));
    CHECK(same_bits(values<double>(flow), before));
  };
  const Loss<double> nothing = [](auto&, const auto&, auto) { return Column<double>(); };
  FitOptions<double> options{.epochs = 1};
  options.loss = nothing;
  refused(options, "loss");
  options.loss = {};
  options.objective.rows = nothing;
  refused(options, "objective.rows");
  options.objective.rows = {};
  options.objective.batch = nothing;
  refused(options, "objective.batch");
  options.objective.batch = {};
  options.objective.columns = [](auto& pass, const auto& flow, auto v) { return std::vector{flow.log_prob(pass, v)}; };
  options.objective.coupling = [](auto) { return Column<double>(); };
  for (const Index shards : {1, 2}) {
    options.shards = shards;
    refused(options, "objective.coupling");
  }
}

TEST_CASE("a density that is 1 has a loss of 0, which is no mistake") {
  Matrix<double> y(40, 1);
  for (Index i = 0; i < 40; ++i) y(i, 0) = (static_cast<double>(i) + 0.5) / 40;
  Uniform<double> flow(std::vector<double>{0}, std::vector<double>{1});
  CHECK(fit(flow, y, {.epochs = 1}).train.mean == 0);
}
