// Training on 2 threads against 1: a MAF of 5 layers, hidden 256, batch 1024; runs alternate, medians count. The
// parameters after both must be the same to the bit.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include <pushforward/pushforward.hpp>

namespace pf = pushforward;

int main() {
  pf::Engine engine(3);
  const Eigen::MatrixXf y = pf::MultivariateNormalDiag<float>(21).sample(1024 * 20, engine);
  const auto run = [&](int threads) {
    pf::Execution execution({.threads = threads});
    auto flow = pf::maf<float>(21, {.layers = 5, .hidden = 256, .blocks = 1, .batch_norm = true});
    const pf::FitReport report = pf::fit(flow, y,
                                         {.epochs = 15,
                                          .batch_size = 1024,
                                          .validation_fraction = 0,
                                          .statistics = pf::EvaluationStatistics::running,
                                          .execution = execution});
    return std::pair{report.seconds, pf::serialize(flow)};
  };
  std::vector<double> one, two, ratio;
  bool same = true;
  for (int i = 0; i < 5; ++i) {
    const auto a = run(1), b = run(2);
    same = same && a.second == b.second;
    one.push_back(a.first);
    two.push_back(b.first);
    ratio.push_back(a.first / b.first);
  }
  const auto median = [](std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
  };
  std::printf("300 steps: 1 thread %.3f s, 2 threads %.3f s, ratio %.2f (median of pairs), same bits: %s\n", median(one),
              median(two), median(ratio), same ? "yes" : "NO");
  return same ? 0 : 1;
}
