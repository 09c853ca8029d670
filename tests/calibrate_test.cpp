// Layers that start from the data or keep statistics of it: calibrate, population statistics, ActNorm.

#include <cmath>
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/training/calibrate.hpp>
#include <pushforward/training/fit.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/training.hpp"
#include "src/training/population.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("calibrate gives each layer the moments of its input over all rows") {
  const Matrix<double> y = make_data(5000, 2);
  const Affine<double> between(Eigen::Vector2d(1, 2), Eigen::Vector2d(0.5, -0.25));
  Flow flow(Normal<double>(2), Chain<double>(BatchNormalization<double>(2), between, BatchNormalization<double>(2)));
  calibrate(flow, y);
  const auto& chain = static_cast<const Chain<double>&>(flow.bijector());
  const auto& outer = static_cast<const BatchNormalization<double>&>(chain.part(2));
  const auto& inner = static_cast<const BatchNormalization<double>&>(chain.part(0));
  const auto check = [](const BatchNormalization<double>& bn, const Matrix<double>& in) {
    for (Index c = 0; c < 2; ++c) {
      const double mean = in.col(c).mean();
      CHECK(bn.moving_mean()[c] == Approx(mean).epsilon(1e-12).margin(1e-12));
      CHECK(bn.moving_variance()[c] == Approx((in.col(c).array() - mean).square().mean()).epsilon(1e-12));
    }
  };
  check(outer, y);
  check(inner, chain.part(1).inverse(outer.inverse(y).value).value);

  // Threads do not matter.
  Flow again = flow;
  Execution execution({.threads = 3});
  calibrate(again, y, {}, execution);
  CHECK(same_bits(values<double>(again), values<double>(flow)));

  Flow not_started(Normal<double>(2), Chain<double>(BatchNormalization<double>(2), ActNorm<double>(2)));
  CHECK_THROWS_WITH(calibrate(not_started, y), ContainsSubstring("initialized"));
  CHECK_THROWS_AS(calibrate(flow, Matrix<double>(0, 2)), DomainError);
}

TEST_CASE("calibrate in tiles agrees with all rows at once") {
  // A wide parameter makes the evaluation of all rows together too expensive: a matrix by its sides, a vector, which may
  // hold a triangle, by the side of that.
  struct Wide final : public ElementwiseBijector<double> {
    explicit Wide(std::vector<Index> shape) : ElementwiseBijector<double>("Wide", 2), wide(std::move(shape)) {}
    Elements do_forward_elements(Pass<double>&, Var<double> x) const override { return {x, {}}; }
    Elements do_inverse_elements(Pass<double>& pass, Var<double> y) const override {
      if (pass.tape().rows() > 4096) throw std::runtime_error("all rows at once");
      return {y, {}};
    }
    void do_fields(Fields<double>& f) override {
      f.type("wide");
      f.state("wide", wide, wide.shape());
    }
    Tensor<double> wide;
  };
  const std::vector<Index> shape = GENERATE(std::vector<Index>{1, 1000}, std::vector<Index>{500'000});
  const Matrix<double> y = make_data(10000, 2);
  const auto chain = [](auto last) {
    return Flow(Normal<double>(2), Chain<double>(BatchNormalization<double>(2),
                                                 Affine<double>(Eigen::Vector2d(1, 2), Eigen::Vector2d(3, -3)),
                                                 BatchNormalization<double>(2), std::move(last)));
  };
  Flow whole = chain(Affine<double>(2)), tiled = chain(Wide(shape));
  calibrate(whole, y);
  calibrate(tiled, y);
  Execution execution({.threads = 2});
  Flow threads = chain(Wide(shape));
  calibrate(threads, y, {}, execution);
  CHECK(same_bits(values<double>(threads), values<double>(tiled)));
  const auto statistic = [](const Flow& flow, const std::string& path) {
    for (const ConstSlot<double>& slot : list_state<double>(static_cast<const Component<double>&>(flow)))
      if (slot.path == path) return *slot.tensor;
    throw std::runtime_error("no tensor " + path);
  };
  for (const std::string part : {"0", "2"})
    for (const std::string name : {"moving_mean", "moving_variance"}) {
      const Tensor<double> a = statistic(whole, "bijector." + part + "." + name);
      const Tensor<double> b = statistic(tiled, "bijector." + part + "." + name);
      for (Index c = 0; c < 2; ++c) CHECK(b[c] == Approx(a[c]).epsilon(1e-12).margin(1e-12));
    }
}

TEST_CASE("population statistics are those of the training rows when fit ends") {
  const Matrix<double> y = make_data(500, 2);
  Flow flow(Normal<double>(2), Chain<double>(Affine<double>(2), BatchNormalization<double>(2)));
  fit(flow, y, {.epochs = 2, .batch_size = 100, .validation_fraction = 0});
  const auto& bn =
      static_cast<const BatchNormalization<double>&>(static_cast<const Chain<double>&>(flow.bijector()).part(1));
  CHECK(bn.moving_mean()[0] == Approx(y.col(0).mean()).epsilon(1e-12));
  Flow running(Normal<double>(2), Chain<double>(Affine<double>(2), BatchNormalization<double>(2)));
  fit(running, y,
      {.epochs = 2, .batch_size = 100, .validation_fraction = 0, .statistics = EvaluationStatistics::running});
  const auto& moving =
      static_cast<const BatchNormalization<double>&>(static_cast<const Chain<double>&>(running.bijector()).part(1));
  // Ten updates with momentum 0.9 from 0.
  CHECK(moving.moving_mean()[0] == Approx(y.col(0).mean() * (1 - std::pow(0.9, 10))).epsilon(0.05));
}

TEST_CASE("ActNorm starts from the data before the first step") {
  const Matrix<double> y = make_data(300, 2);
  Flow flow(Normal<double>(2), ActNorm<double>(2));
  fit(flow, y, {.epochs = 0, .validation_fraction = 0});
  const auto& norm = static_cast<const ActNorm<double>&>(flow.bijector());
  CHECK(norm.is_initialized());
  CHECK(norm.shift()[0] == Approx(y.col(0).mean()).epsilon(1e-12));
}
