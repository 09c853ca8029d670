// A service-like loop: several threads score single rows with one immutable snapshot, each in memory of its own.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include <pushforward/pushforward.hpp>

namespace pf = pushforward;

int main() {
  const pf::Evaluator<float> evaluator(pf::real_nvp<float>(6, {.layers = 5, .hidden = 32}));
  pf::Engine engine(5);
  const Eigen::MatrixXf requests = evaluator.model().sample(4000, engine);
  const Eigen::VectorXd expected = evaluator.model().log_prob(requests);

  constexpr int threads = 4;
  std::vector<int> wrong(threads, 0);
  std::vector<double> microseconds(static_cast<std::size_t>(requests.rows()));
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t)
    workers.emplace_back([&, t] {
      pf::Workspace workspace;  // the only thing that a thread owns
      double log_prob = 0;
      for (Eigen::Index i = t; i < requests.rows(); i += threads) {
        const auto start = std::chrono::steady_clock::now();
        evaluator.log_prob_into(requests.row(i), std::span<double>(&log_prob, 1), workspace);
        microseconds[static_cast<std::size_t>(i)] =
            std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
        wrong[static_cast<std::size_t>(t)] += log_prob != expected[i];  // the same bits as in a batch
      }
    });
  for (std::thread& worker : workers) worker.join();
  std::sort(microseconds.begin(), microseconds.end());
  const int total = wrong[0] + wrong[1] + wrong[2] + wrong[3];
  std::printf("%d threads, %zu single rows, median %.1f us, %d differ from the batch\n", threads, microseconds.size(),
              microseconds[microseconds.size() / 2], total);
  return total == 0 ? 0 : 1;
}
