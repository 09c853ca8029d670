// Rows that are shuffled by blocks.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <set>
#include <string>
#include <vector>

#include "src/training/shuffle.hpp"
#include "tests/catch.hpp"

using namespace pushforward;
using detail::blocks_of_a_window;
using detail::shuffle_blocks;

namespace {

std::vector<std::int64_t> order_of(std::uint64_t seed, Index block, Index n) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(n));
  shuffle_blocks(Engine(seed), block, out);
  return out;
}

}  // namespace

TEST_CASE("Shuffled by blocks, each row comes once", "[shuffle]") {
  for (const Index n : {1, 2, 99, 100, 101, 5000})
    for (const Index block : {2, 7, 100, 6000}) {
      std::vector<std::int64_t> rows = order_of(3, block, n), sorted = rows;
      std::sort(sorted.begin(), sorted.end());
      for (Index i = 0; i < n; ++i) REQUIRE(sorted[static_cast<std::size_t>(i)] == i);
      CHECK(rows == order_of(3, block, n));
      if (n > 50) CHECK(rows != order_of(4, block, n));
    }
}

TEST_CASE("Windows of blocks: no more blocks are open at a time, and no fewer mixed", "[shuffle]") {
  const Index block = 3, blocks = 5 * blocks_of_a_window / 2, n = block * blocks - 1;
  const std::vector<std::int64_t> rows = order_of(1, block, n);
  // Two windows, and each block in one of them.
  const auto half = static_cast<std::size_t>(n / 2 + block);
  std::set<std::int64_t> first, second;
  for (std::size_t i = 0; i < rows.size(); ++i) (i < half - 2 * block ? first : second).insert(rows[i] / block);
  std::vector<std::int64_t> both;
  std::set_intersection(first.begin(), first.end(), second.begin(), second.end(), std::back_inserter(both));
  CHECK(both.size() < 4 * block);
  CHECK(static_cast<Index>(first.size()) >= blocks_of_a_window);
}

TEST_CASE("However rows are sorted, a batch's mean has the variance that is promised", "[shuffle]") {
  // The worst there is: all rows of a block are equal, and blocks rise.
  const Index block = 16, blocks = 3 * blocks_of_a_window, n = block * blocks, m = 4096, seeds = 40;
  double mean = 0.5 * static_cast<double>(blocks - 1), sigma2 = (static_cast<double>(blocks) * static_cast<double>(blocks) - 1) / 12;
  double sum = 0;
  Index count = 0;
  for (Index seed = 0; seed < seeds; ++seed) {
    const std::vector<std::int64_t> rows = order_of(static_cast<std::uint64_t>(seed), block, n);
    for (Index begin = 0; begin + m <= n; begin += m, ++count) {
      double batch = 0;
      for (Index i = begin; i < begin + m; ++i) batch += static_cast<double>(rows[static_cast<std::size_t>(i)] / block);
      sum += std::pow(batch / static_cast<double>(m) - mean, 2);
    }
  }
  const double variance = sum / static_cast<double>(count);
  const double promised = sigma2 * (1 / static_cast<double>(m) + 1 / static_cast<double>(blocks_of_a_window));
  // 1,920 batches of 120 windows; the windows' share has a relative error of sqrt(2 / 120).
  CHECK(variance < promised * 1.3);
  CHECK(variance > sigma2 / static_cast<double>(m) * 0.7);
}

TEST_CASE("A fit by blocks", "[shuffle]") {
  // Rows sorted by their value: as a detector or a clock writes them.
  Matrix<double> y(4000, 2);
  Engine engine(5);
  y = Normal<double>(2).sample(y.rows(), engine);
  std::vector<Index> order(static_cast<std::size_t>(y.rows()));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](Index a, Index b) { return y(a, 0) < y(b, 0); });
  Matrix<double> sorted(y.rows(), 2);
  for (Index i = 0; i < y.rows(); ++i) sorted.row(i) << y(order[static_cast<std::size_t>(i)], 0), std::exp(y(order[static_cast<std::size_t>(i)], 1));

  const auto fitted = [&](Index block, int threads) {
    auto flow = maf<double>(2, {.layers = 2, .hidden = {16}, .seed = 1});
    Execution execution({.threads = threads});
    FitOptions<double> options{.epochs = 20, .batch_size = 100, .shuffle_block = block, .seed = 2};
    options.execution = execution;
    const FitReport report = fit(flow, sorted, options);
    return std::pair(report.validation.mean, flow.log_prob(sorted));
  };
  const auto whole = fitted(1, 1), blocks = fitted(8, 1), threads = fitted(8, 2);
  CHECK(blocks.second == threads.second);
  CHECK(whole.second != blocks.second);
  CHECK(std::abs(whole.first - blocks.first) < 0.02);

  auto flow = maf<double>(2, {.layers = 1});
  using Catch::Matchers::ContainsSubstring;
  CHECK_THROWS_WITH(fit(flow, sorted, {.shuffle_block = 0}), ContainsSubstring("shuffle_block") && ContainsSubstring("from 1 to 131072"));
}
