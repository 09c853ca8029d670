// Memory and bits on the hot paths: an Evaluator gives what its model gives, and neither its calls nor the steps of
// training touch the heap once they are warm.

#include <pushforward/flows/builders.hpp>
#include <pushforward/evaluator.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <pushforward/training/fit.hpp>
#include <string>
#include <vector>

#include "tests/allocations.hpp"
#include "tests/catch.hpp"

using namespace pushforward;

namespace {

template <Scalar T>
std::vector<std::pair<std::string, Poly<Distribution<T>>>> flows() {
  const FlowOptions lu{.layers = 3, .hidden = 20, .blocks = 1, .residual = true, .mixing = Mixing::lu_linear};
  const FlowOptions plain{.layers = 3, .hidden = 20, .blocks = 1, .batch_norm = true};
  std::vector<std::pair<std::string, Poly<Distribution<T>>>> list;
  list.emplace_back("nsf", nsf<T>(5, lu));
  list.emplace_back("nsf_ar", nsf_ar<T>(5, lu));
  list.emplace_back("maf", maf<T>(5, plain));
  list.emplace_back("real_nvp", real_nvp<T>(5, plain));
  list.emplace_back("nice", nice<T>(5, plain));
  std::uint64_t seed = 3;
  for (auto& [name, flow] : list) {
    Engine engine(seed++);
    for (const Slot<T>& slot : list_state<T>(*flow)) {
      if (slot.kind != StateKind::parameter || slot.tensor->size() == 0) continue;
      std::vector<double> noise(static_cast<std::size_t>(slot.tensor->size()));
      engine.next_call().normal(0, slot.tensor->size(), 1, noise.data(), slot.tensor->size());
      for (Index i = 0; i < slot.tensor->size(); ++i)
        (*slot.tensor)[i] += static_cast<T>(0.1 * noise[static_cast<std::size_t>(i)]);
    }
  }
  return list;
}

template <Scalar T>
Matrix<T> some_rows(Index rows) {
  Matrix<T> y(rows, 5);
  for (Index i = 0; i < rows; ++i)
    for (Index c = 0; c < 5; ++c) y(i, c) = static_cast<T>(std::sin(static_cast<double>(3 * i + 5 * c * c + 1)));
  return y;
}

}  // namespace

TEMPLATE_TEST_CASE("an Evaluator gives the bits of its model, without touching the heap once warm", "[evaluator]",
                   float, double) {
  using T = TestType;
  for (const auto& [name, flow] : flows<T>()) {
    INFO(name);
    const Evaluator<T> first(flow);
    Evaluator<T> evaluator(flow);
    evaluator = first;  // copies pack their own weights
    typename Evaluator<T>::Workspace workspace;
    for (const Index rows : {1, 2, 3, 4, 5, 16, 17, 300}) {
      INFO(rows << " rows");
      const Matrix<T> y = some_rows<T>(rows);
      Eigen::VectorXd out(rows);
      Matrix<T> drawn(rows, 5);
      Engine engine(9);
      evaluator.log_prob_into(y, out, workspace);
      CHECK(out == flow->log_prob(y));
      evaluator.sample_into(drawn, engine, workspace);
      Engine same(9);
      CHECK(drawn == flow->sample(rows, same));

      const std::size_t before = allocations;
      evaluator.log_prob_into(y, out, workspace);
      evaluator.sample_into(drawn, engine, workspace);
      const std::size_t made = allocations - before;
      CHECK(made == 0);
    }
  }
}

TEMPLATE_TEST_CASE("steps of training do not touch the heap once warm", "[evaluator]", float, double) {
  using T = TestType;
  for (const int threads : {1, 2}) {
    // All of them from the first run on: what runs longer would ask for more of them.
    Execution execution({.threads = threads, .all_always = true});
    for (const auto& [name, flow] : flows<T>()) {
      INFO(name << ", " << threads << " threads");
      // With three times the rows, three times the steps: the difference is what steps ask for.
      const auto made = [&](Index rows) {
        const Matrix<T> y = some_rows<T>(rows);
        Poly<Distribution<T>> copy = flow;
        auto& trained = dynamic_cast<TransformedDistribution<T>&>(*copy);
        const std::size_t before = allocations;
        const FitReport report = fit(trained, y,
                                     {.epochs = 2,
                                      .batch_size = 32,
                                      .validation_fraction = 0,
                                      .statistics = EvaluationStatistics::running,
                                      .execution = execution});
        CHECK(report.steps == 2 * rows / 32);
        return allocations - before;
      };
      made(640);  // warm
      const std::size_t few = made(320), many = made(960);
      // Of 40 more steps. The evaluation at the end has more tiles, 16 requests, and deals them to whichever thread is
      // free: one may have its first here, and make room for it.
      CHECK(many < few + 36);
    }
  }
}
