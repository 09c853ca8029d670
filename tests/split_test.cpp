// Which rows train and which validate.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/split.hpp>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {
using Rows = std::vector<std::int64_t>;
}

TEST_CASE("A split takes each row once, in order, and the same ones for ever") {
  const RowSplit split = split_rows(1000, 0.25, 7);
  CHECK(split.validation.size() == 250);
  CHECK(std::is_sorted(split.train.begin(), split.train.end()));
  CHECK(std::is_sorted(split.validation.begin(), split.validation.end()));
  Rows all = split.train, every(1000);
  all.insert(all.end(), split.validation.begin(), split.validation.end());
  std::sort(all.begin(), all.end());
  for (std::size_t i = 0; i < every.size(); ++i) every[i] = static_cast<std::int64_t>(i);
  CHECK(all == every);
  CHECK(split_rows(1000, 0.25, 8).validation != split.validation);
  CHECK(split_rows(10, 0.39, 1).validation == Rows{1, 2, 7});
  CHECK(split_rows(9, 0.1, 1).validation.empty());
  CHECK(split_rows(3, 0, 1).train == Rows{0, 1, 2});
  CHECK(split_rows(0, 0.5, 1).train.empty());
}

TEST_CASE("Rows of weight 0 are in no part of a split") {
  const std::vector<double> weights = {0, 1, 0, 2, 3, 0.5, 0, 1};
  const RowSplit split = split_rows(8, 0.4, 3, weights);
  CHECK(split.validation.size() == 2);
  Rows all = split.train;
  all.insert(all.end(), split.validation.begin(), split.validation.end());
  std::sort(all.begin(), all.end());
  CHECK(all == Rows{1, 3, 4, 5, 7});
}

TEST_CASE("A split refuses what it cannot do") {
  CHECK_THROWS_WITH(split_rows(5, 1, 1), "split_rows: validation_fraction must lie in [0, 1), got 1");
  CHECK_THROWS_WITH(split_rows(5, std::numeric_limits<double>::quiet_NaN(), 1),
                    "split_rows: validation_fraction must lie in [0, 1), got nan");
  CHECK_THROWS_WITH(split_rows(-2, 0.1, 1), "split_rows: rows must be at least 0, got -2");
  CHECK_THROWS_AS(split_rows(2, 0.1, 1, std::vector<double>{1}), ShapeError);
  CHECK_THROWS_WITH(split_rows(2, 0.1, 1, std::vector<double>{1}),
                    "split_rows: expected 2 weights, one for each row, got 1");
}

TEST_CASE("A fit splits its rows so") {
  Engine engine(1);
  const Matrix<double> data = Normal<double>(2).sample(200, engine);
  const RowSplit split = split_rows(data.rows(), 0.2, 5);
  const auto columns = Eigen::seqN(0, data.cols());
  const Matrix<double> train = data(split.train, columns), validation = data(split.validation, columns);
  const auto fitted = [&](MatrixView<const double> rows, FitOptions<double> options) {
    TransformedDistribution<double> flow = real_nvp<double>(2, {.layers = 2, .hidden = 8, .seed = 1});
    options.epochs = 3;
    options.seed = 5;
    return fit(flow, rows, options);
  };
  const FitReport own = fitted(data, {.validation_fraction = 0.2});
  FitOptions<double> given;
  given.validation = validation;
  const FitReport same = fitted(train, given);
  CHECK(own.validation_loss == same.validation_loss);
  CHECK(own.gaussian_baseline == same.gaussian_baseline);
}
