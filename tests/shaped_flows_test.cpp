// The builders sospf, bpf, naf, unaf, gf, bnaf and ncsf: what they learn, that samples and densities are of one
// distribution, context, refusals.

#include <cmath>
#include <functional>
#include <numbers>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/testing/audit.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/prepare.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using testing::Audit;
using testing::audit;
using Catch::Matchers::ContainsSubstring;

namespace {

using Flow = TransformedDistribution<double>;

/// A parabola of noise: no affine map of a normal distribution.
Matrix<double> parabola(Index n, std::uint64_t seed) {
  Engine engine(seed);
  Matrix<double> y = Normal<double>(2).sample(n, engine);
  y.col(1) = (0.4 * y.col(1).array() + y.col(0).array().square() - 1).matrix();
  return y;
}
/// Mean log density of the parabola: twice a normal distribution's entropy, and log 0.4.
constexpr double exact = -2.8379 + 0.9163;

std::vector<std::pair<std::string, std::function<Flow(Index context_dim)>>> flows() {
  const auto of = [](auto builder) {
    return [builder](Index context_dim) { return builder(2, {.layers = 2, .hidden = 16, .context_dim = context_dim}); };
  };
  return {{"sospf", of(&sospf<double>)},
          {"bpf", of(&bpf<double>)},
          {"naf", of(&naf<double>)},
          {"unaf", of(&unaf<double>)},
          {"gf", [](Index c) { return gf<double>(2, {.layers = 6, .context_dim = c, .hidden = 16}); }},
          {"bnaf", [](Index c) { return bnaf<double>(2, {.layers = 2, .context_dim = c}); }}};
}

/// Two angles near to each other, anywhere on the circle.
Matrix<double> angles(Index n, std::uint64_t seed) {
  Engine engine(seed);
  const Matrix<double> noise = Normal<double>(2).sample(n, engine);
  Matrix<double> y(n, 2);
  for (Index i = 0; i < n; ++i) {
    const double a = noise(i, 0) * 3, b = a + 0.3 * noise(i, 1);
    y(i, 0) = std::remainder(a, 2 * std::numbers::pi);
    y(i, 1) = std::remainder(b, 2 * std::numbers::pi);
  }
  return y;
}

}  // namespace

TEST_CASE("They learn what an affine map cannot", "[shaped_flows]") {
  const Matrix<double> y = parabola(4000, 1), test = parabola(4000, 2);
  for (const auto& [name, build] : flows()) {
    INFO(name);
    const auto model =
        prepare_and_fit(build(0), y, {}, {.epochs = 25, .batch_size = 128, .learning_rate = 4e-3, .seed = 3}).model;
    const double mean = model.log_prob(test).mean();
    CHECK(mean > exact - 0.15);
    CHECK(mean < exact + 0.1);
    // Its draws are of the density.
    Engine engine(5);
    const Matrix<double> draws = model.sample(4000, engine);
    CHECK(std::abs(model.log_prob(draws).mean() - mean) < 0.2);
  }
}

TEST_CASE("Both directions, away from the start", "[shaped_flows]") {
  for (const auto& [name, build] : flows())
    for (const Index context_dim : {0, 2}) {
      INFO(name << ", context of " << context_dim);
      Flow flow = build(context_dim);
      testing::perturb<double>(flow, 6, 0.2);
      Engine engine(2);
      const Matrix<double> y = Normal<double>(2).sample(200, engine) * 3, context = Normal<double>(2).sample(200, engine);
      const Audit audit_of = audit(flow.copy_bijector(), y,
                                   context_dim > 0 ? MatrixView<const double>(context) : MatrixView<const double>());
      INFO(audit_of.to_text());
      CHECK(audit_of.passed());
    }
}

TEST_CASE("A flow of angles has no seam, and learns what lies across it", "[shaped_flows]") {
  const Matrix<double> y = angles(4000, 1), test = angles(4000, 2);
  Flow flow = ncsf<double>(2, {.layers = 4, .hidden = 24});
  fit(flow, y, {.epochs = 25, .batch_size = 128, .learning_rate = 4e-3, .seed = 3});
  // A uniform angle and a normal one of deviation 0.3.
  const double best = -std::log(2 * std::numbers::pi) - 1.4189 - std::log(0.3), mean = flow.log_prob(test).mean();
  CHECK(mean > best - 0.2);
  CHECK(mean < best + 0.1);
  Matrix<double> ends(2, 2);
  ends << -std::numbers::pi, 3, std::numbers::pi, 3;
  const Eigen::VectorXd seam = flow.log_prob(ends);
  CHECK(std::abs(seam[0] - seam[1]) < 1e-10);
  Engine engine(5);
  const Matrix<double> draws = flow.sample(4000, engine);
  CHECK(draws.cwiseAbs().maxCoeff() <= std::numbers::pi);
  CHECK(std::abs(flow.log_prob(draws).mean() - mean) < 0.2);
  // A float model is the same flow in double, whose pi is another number.
  const TransformedDistribution<float> single = ncsf<float>(2, {.layers = 2, .hidden = 6});
  const Poly<Distribution<double>> twice = cast<double>(static_cast<const Distribution<float>&>(single));
  CHECK((twice->log_prob(test) - single.log_prob(Matrix<float>(test.cast<float>()))).cwiseAbs().maxCoeff() < 1e-4);
  for (const Index dim : {1, 3}) {
    Flow other = ncsf<double>(dim, {.layers = 2, .hidden = 8, .bins = 4, .low = 0, .high = 1, .context_dim = 2});
    testing::perturb<double>(other, 3);
    const Matrix<double> context = Normal<double>(2).sample(50, engine);
    const Matrix<double> inside = other.sample_each(context, engine);
    CHECK(inside.minCoeff() >= 0);
    CHECK(inside.maxCoeff() <= 1);
    CHECK(other.log_prob(inside, context).allFinite());
  }
}

TEST_CASE("Builders of their own options refuse by name", "[shaped_flows]") {
  CHECK_THROWS_WITH(gf<double>(0), ContainsSubstring("gf: dim must be at least 1, got 0"));
  CHECK_THROWS_WITH(bnaf<double>(2, {.layers = 0}), ContainsSubstring("bnaf: expected at least one layer, got 0"));
  CHECK_THROWS_WITH(ncsf<double>(2, {.layers = 0}), ContainsSubstring("expected at least one column and one layer, got 2 and 0"));
  CHECK_THROWS_WITH(ncsf<double>(2, {.low = 1, .high = 1}), ContainsSubstring("low < high"));
}
