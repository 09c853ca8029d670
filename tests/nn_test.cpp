// Networks before training: how weights and biases start, against the distributions that the papers state.

#include <cmath>
#include <numeric>
#include <pushforward/nn/dense.hpp>
#include <pushforward/nn/mlp.hpp>
#include <pushforward/nn/residual_network.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {

double largest(const Tensor<double>& t) {
  double m = 0;
  for (const double v : t.values()) m = std::max(m, std::abs(v));
  return m;
}
double mean_square(const Tensor<double>& t) {
  double sum = 0;
  for (Index i = 0; i < t.size(); ++i) sum += t[i] * t[i];
  return sum / static_cast<double>(t.size());
}

/// Uniform in +-limit: nothing beyond it, and the variance limit^2 / 3.
void check_uniform(const Tensor<double>& t, double limit) {
  INFO(t.size() << " values, expected uniform in +-" << limit);
  CHECK(largest(t) <= limit);
  CHECK(largest(t) > 0.9 * limit);
  CHECK(mean_square(t) == Approx(limit * limit / 3).epsilon(0.25));
}

Tensor<double> find(const Component<double>& c, const std::string& path) {
  for (const auto& slot : list_state(c))
    if (slot.path == path) return *slot.tensor;
  FAIL("no tensor " << path);
  return {};
}

}  // namespace

TEST_CASE("Layers start as the papers say", "[nn]") {
  const Index inputs = 80, outputs = 50;
  const auto network = [&](Initialisation start) {
    return Mlp<double>(inputs, outputs, {.hidden = {100}, .initialisation = start, .final_scale = 1, .seed = 5});
  };
  const Mlp<double> paper = network(Initialisation::paper);
  check_uniform(find(paper, "layer0.weight"), 1 / std::sqrt(80.0));
  check_uniform(find(paper, "layer0.bias"), 1 / std::sqrt(80.0));
  check_uniform(find(paper, "layer1.weight"), 1 / std::sqrt(100.0));

  const Mlp<double> glorot = network(Initialisation::glorot);
  check_uniform(find(glorot, "layer0.weight"), std::sqrt(6.0 / 180));
  CHECK(largest(find(glorot, "layer0.bias")) == 0);

  const Mlp<double> he = network(Initialisation::he);
  const Tensor<double> w = find(he, "layer0.weight");
  CHECK(mean_square(w) == Approx(2.0 / 80).epsilon(0.1));
  CHECK(largest(w) > 3 * std::sqrt(2.0 / 80));  // normal: among 8000 values some lie beyond three sigma
  CHECK(largest(find(he, "layer0.bias")) == 0);

  // The same seed gives the same start, layers and seeds differ.
  CHECK((find(network(Initialisation::paper), "layer0.weight") == find(paper, "layer0.weight")));
  const Mlp<double> other(inputs, outputs, {.hidden = {100}, .seed = 6});
  CHECK_FALSE((find(other, "layer0.weight") == find(paper, "layer0.weight")));
}

TEST_CASE("Residual blocks start near the identity", "[nn]") {
  const ResidualNetwork<double> net(7, 9, {.hidden = 64, .blocks = 2, .seed = 3});
  check_uniform(find(net, "block0.linear0.weight"), 1 / 8.0);
  check_uniform(find(net, "block0.linear1.weight"), 1e-3);
  CHECK(largest(find(net, "block1.linear1.bias")) == 0);
  CHECK_FALSE((find(net, "block0.linear0.weight") == find(net, "block1.linear0.weight")));
}
