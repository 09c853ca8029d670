// What fit says of rows that it cannot use as they are: columns that conditioners are blind to, rows on the bound of a
// support, in the training rows and in those to validate by.

#include <algorithm>
#include <limits>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/error.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/prepare.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;
using Columns = std::vector<std::ptrdiff_t>;

namespace {

template <class T = double>
Matrix<T> normal_rows(Index rows, Index dim, std::uint64_t seed = 1) {
  Matrix<double> z(rows, dim);
  Engine(seed).next_call().normal(0, rows, dim, z.data(), rows);
  return z.template cast<T>();
}

/// What a report says of columns that conditioners are blind to; empty if nothing.
std::vector<Notice> blind(const FitReport& report) {
  std::vector<Notice> found;
  std::copy_if(report.warnings.begin(), report.warnings.end(), std::back_inserter(found),
               [](const Notice& warning) { return warning.option == "standardize"; });
  return found;
}

constexpr Index few_layers = 2;

}  // namespace

TEMPLATE_TEST_CASE("columns in other units than the conditioners' are named", "", float, double) {
  using T = TestType;
  Matrix<T> y = normal_rows<T>(300, 4);
  y.col(2) = (y.col(2).array() * T(100) + T(1000)).matrix();
  for (const FlowPreset& preset : flow_presets()) {
    INFO(preset.name);
    const auto flow = preset.build<T>(4, {.layers = few_layers, .hidden = 8});
    auto raw = flow;
    const std::vector<Notice> found = blind(fit(raw, y, {.epochs = 1}));
    REQUIRE(found.size() == 1);
    CHECK(found[0].columns == Columns{2});
    CHECK(found[0].context_columns.empty());
    CHECK_THAT(found[0].text(), ContainsSubstring("column 2: conditioners see values softly bounded by ") &&
                                    ContainsSubstring("up to 100 % of the rows") &&
                                    ContainsSubstring("as prepare and prepare_and_fit do"));
    CHECK(blind(prepare_and_fit(flow, y, {}, {.epochs = 1}).report).empty());
    // Without a bound they see all.
    auto open = preset.build<T>(4, {.layers = few_layers, .hidden = 8, .input_bound = std::numeric_limits<double>::infinity()});
    CHECK(blind(fit(open, y, {.epochs = 1})).empty());
  }
}

TEST_CASE("context in other units is named too") {
  const Matrix<double> y = normal_rows(300, 3);
  Matrix<double> context = normal_rows(300, 2, 9);
  context.col(1) = (context.col(1).array() * 1e3).matrix();
  const FitOptions<double> options{.epochs = 1, .context = context};
  for (const FlowPreset& preset : flow_presets()) {
    INFO(preset.name);
    const Flow flow = preset.build<double>(3, {.layers = few_layers, .hidden = 8, .context_dim = 2});
    Flow raw = flow;
    const std::vector<Notice> found = blind(fit(raw, y, options));
    REQUIRE(found.size() == 1);
    CHECK(found[0].columns.empty());
    CHECK(found[0].context_columns == Columns{1});
    CHECK_THAT(found[0].text(), ContainsSubstring("context column 1: conditioners"));
    CHECK(blind(prepare_and_fit(flow, y, {}, options).report).empty());
  }
  // One row for all has nothing to tell apart.
  const Matrix<double> one = Matrix<double>::Constant(1, 2, 1e3);
  Flow flow = maf<double>(3, {.layers = 2, .hidden = 8, .context_dim = 2});
  CHECK(blind(fit(flow, y, {.epochs = 1, .context = one})).empty());
}

TEST_CASE("a column around 0 is named by its spread") {
  Matrix<double> y = normal_rows(300, 3);
  y.bottomRows(150) = -y.topRows(150);
  y.col(0) *= 20;
  Flow flow = maf<double>(3, {.layers = 2, .hidden = 8});
  const std::vector<Notice> found = blind(fit(flow, y, {.epochs = 1, .validation_fraction = 0}));
  REQUIRE(found.size() == 1);
  CHECK(found[0].columns == Columns{0});
}

TEST_CASE("no word of blindness where conditioners see enough") {
  // Heavy tails, a tight bound, a constant column, and a layer that starts from the data.
  Matrix<double> y = normal_rows(1000, 3);
  y.col(1) = y.col(1).array().cube().matrix();
  CHECK(blind(prepare_and_fit(maf<double>(3, {.layers = 2, .hidden = 8, .input_bound = 1}), y, {}, {.epochs = 1}).report)
            .empty());
  y.col(0).setConstant(1e3);
  y.col(1) = normal_rows(1000, 1, 7);
  y.col(1) = y.col(1).array().cube().matrix();  // nearly a fifth of it lies further out than 5
  CHECK(blind(prepare_and_fit(maf<double>(3, {.layers = 2, .hidden = 8}), y,
                              {.standardize = Standardization::median_iqr}, {.epochs = 1})
                  .report)
            .empty());
  y = 100 * normal_rows(500, 3).array() + 1000;
  Flow started = maf<double>(3, {.layers = 2, .hidden = 8, .act_norm = true});
  CHECK(blind(fit(started, y, {.epochs = 1})).empty());
}

TEST_CASE("a row on an open bound is refused by the name of its set") {
  Matrix<double> y = normal_rows(200, 2).array().exp().matrix();
  const Flow flow(Normal<double>(2), Chain<double>(Affine<double>(2), Exp<double>(2)));
  Matrix<double> good = y, on_bound = y;
  on_bound(17, 1) = 0;
  const auto refused = [&](const Matrix<double>& data, const FitOptions<double>& options) -> std::string {
    Flow copy = flow;
    try {
      fit(copy, data, options);
    } catch (const DomainError& error) {
      CHECK(error.notice().row == 17);
      return error.what();
    }
    return "";
  };
  CHECK_THAT(refused(on_bound, {.epochs = 1, .validation_fraction = 0}),
             ContainsSubstring(": data row 17, column 1 is 0, a bound of the support (0, inf) of the model, where it has no "
                               "density"));
  CHECK_THAT(refused(good, {.epochs = 1, .validation = on_bound}),
             ContainsSubstring(": validation row 17, column 1 is 0, a bound of the support (0, inf) of the model"));
  CHECK(refused(good, {.epochs = 1, .validation = y}).empty());
  // In a split it is one or the other.
  const std::string split = refused(on_bound, {.epochs = 1, .validation_fraction = 0.99});
  CHECK_THAT(split, ContainsSubstring(": data row 17, column 1, set aside for validation, is 0, a bound"));
  // Rows that do not count are not looked at.
  std::vector<double> weights(200, 1.0);
  weights[17] = 0;
  CHECK(refused(good, {.epochs = 1, .validation = on_bound, .validation_weights = weights}).empty());
}

TEST_CASE("errors of fit carry row and column beside their text") {
  Matrix<double> y = normal_rows(20, 3), bad = y;
  bad(4, 2) = -std::numeric_limits<double>::quiet_NaN();
  Flow flow = affine_flow(3);
  const auto notice = [&](const Matrix<double>& data, const FitOptions<double>& options) {
    try {
      fit(flow, data, options);
    } catch (const DomainError& error) {
      CHECK(error.what() == error.notice().text());
      return error.notice();
    }
    return Notice{};
  };
  Notice found = notice(bad, {});
  CHECK_THAT(found.text(), ContainsSubstring("data row 4, column 2 is nan; every value must be finite"));
  CHECK(found.row == 4);
  CHECK(found.columns == Columns{2});
  std::vector<double> weights(20, 1.0);
  weights[6] = -1;
  found = notice(y, {.weights = weights});
  CHECK_THAT(found.text(), ContainsSubstring("weight of data row 6 is -1; expected"));
  CHECK(found.row == 6);
  CHECK(found.option == "weights");
  found = notice(y, {.clip_norm = -1});
  CHECK_THAT(found.text(), ContainsSubstring("clip_norm must be at least 0, got -1"));
  CHECK(found.option == "clip_norm");
  // An error of somebody who did not take it to pieces is all problem.
  const Error plain("Somebody: something");
  CHECK(plain.notice().problem == "Somebody: something");
  CHECK(plain.notice().place().empty());
}
