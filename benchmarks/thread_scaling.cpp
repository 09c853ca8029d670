// Two threads against one, and the memory of a long evaluation:
// - a fit of a MAF of 5 layers, 21 columns, hidden 256, batch 1024, whole;
// - a training step of a MAF of 5 layers, 43 columns, hidden 512, at batches of 1024 and 128;
// - log_prob of 1e6 rows by the same;
// - the peak memory of log_prob of 1e7 x 10 rows, beyond data and result.
// Runs alternate, medians count. What one and two threads make must be the same to the bit.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <pushforward/pushforward.hpp>
#include <vector>

namespace pf = pushforward;
using Index = pf::Index;

namespace {

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

Eigen::MatrixXf normal_rows(Index rows, Index cols) {
  pf::Engine engine(3);
  return pf::MultivariateNormalDiag<float>(cols).sample(rows, engine);
}

/// Seconds, and what was made.
struct Made {
  double seconds;
  std::vector<double> values;
};

pf::FitOptions<float> steps(Index epochs, Index batch, pf::Execution& execution) {
  pf::FitOptions<float> options{
      .epochs = epochs, .batch_size = batch, .validation_fraction = 0, .statistics = pf::EvaluationStatistics::running};
  options.execution = execution;
  return options;
}

bool compare(const char* what, int pairs, const std::function<Made(int threads)>& run) {
  std::vector<double> one, two, ratio;
  bool same = true;
  for (int i = 0; i < pairs; ++i) {
    const Made a = run(1), b = run(2);
    same = same && a.values == b.values;
    one.push_back(a.seconds);
    two.push_back(b.seconds);
    ratio.push_back(a.seconds / b.seconds);
  }
  std::printf("%-46s 1 thread %8.2f ms, 2 threads %8.2f ms, ratio %.2f (median of %d pairs), same bits: %s\n", what,
              1e3 * median(one), 1e3 * median(two), median(ratio), pairs, same ? "yes" : "NO");
  std::fflush(stdout);
  return same;
}

double peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return 1024.0 * static_cast<double>(usage.ru_maxrss);
}

}  // namespace

int main() {
  bool same = true;
  {
    // First, while nothing else has taken memory.
    constexpr Index rows = 10'000'000, block = 100'000;
    const auto flow = pf::maf<float>(10, {.layers = 5, .hidden = 64, .blocks = 1});
    pf::Matrix<float> y(rows, 10);
    Eigen::VectorXd out = Eigen::VectorXd::Ones(rows);  // zeros may be pages that do not exist yet
    const Eigen::MatrixXf some = normal_rows(block, 10);
    for (Index i = 0; i < rows; i += block) y.middleRows(i, block) = some;
    pf::Execution execution({.threads = 2});
    const double before = peak_bytes();
    flow.log_prob_into(y, out, {}, execution);
    std::printf("log_prob of 1e7 x 10 rows: %.1f MB beyond data and result\n", (peak_bytes() - before) / 1e6);
    std::fflush(stdout);
  }
  {
    const Eigen::MatrixXf y = normal_rows(1024 * 20, 21);
    same &= compare("fit, MAF-5 21 columns hidden 256, 300 steps", 5, [&](int threads) {
      pf::Execution execution({.threads = threads});
      auto flow = pf::maf<float>(21, {.layers = 5, .hidden = 256, .blocks = 1, .batch_norm = true});
      const pf::FitReport report = pf::fit(flow, y, steps(15, 1024, execution));
      return Made{report.seconds, report.train_loss};
    });
  }
  const auto maf = [] { return pf::maf<float>(43, {.layers = 5, .hidden = 512, .blocks = 1, .batch_norm = true}); };
  for (const Index batch : {1024, 128}) {
    const Eigen::MatrixXf y = normal_rows(16 * batch, 43);
    same &= compare(batch == 1024 ? "step, MAF-5 43 columns hidden 512, batch 1024"
                                  : "step, MAF-5 43 columns hidden 512, batch 128",
                    9, [&](int threads) {
                      pf::Execution execution({.threads = threads});
                      auto flow = maf();
                      std::vector<double> ends, taken;
                      pf::FitOptions<float> options = steps(9, batch, execution);
                      options.callback = [&](const pf::Progress& p) { return ends.push_back(p.seconds), true; };
                      const pf::FitReport report = pf::fit(flow, y, options);
                      for (std::size_t i = 1; i < ends.size(); ++i) taken.push_back((ends[i] - ends[i - 1]) / 16);
                      return Made{median(taken), report.train_loss};
                    });
  }
  {
    constexpr Index rows = 1'000'000;
    const auto flow = maf();
    const Eigen::MatrixXf some = normal_rows(50'000, 43);
    pf::Matrix<float> y(rows, 43);
    for (Index i = 0; i < rows; i += some.rows()) y.middleRows(i, some.rows()) = some;
    same &= compare("log_prob of 1e6 rows, MAF-5 43 columns", 3, [&](int threads) {
      pf::Execution execution({.threads = threads});
      std::vector<double> out(static_cast<std::size_t>(rows));
      const auto start = std::chrono::steady_clock::now();
      flow.log_prob_into(y, out, {}, execution);
      return Made{std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), out};
    });
  }
  return same ? 0 : 1;
}
