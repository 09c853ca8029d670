// What training proposes for state, and what it asks for: taken whole or refused by name, asked once.

#include <atomic>
#include <cmath>
#include <limits>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/error.hpp>
#include <pushforward/training/calibrate.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/lbfgs.hpp>
#include <pushforward/training/sgd.hpp>

#include "tests/catch.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

namespace {

/// y = exp(a) x, with a state that counts the steps it has seen; the one after `limit` it would spoil.
template <Scalar T>
class Counter final : public Bijector<T> {
 public:
  Counter(Index dim, int limit, double spoilt)
      : Bijector<T>("Counter", dim), limit_(limit), spoilt_(spoilt), a_({dim}), count_({2}) {}
  const Tensor<T>& count() const { return count_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override {
    const Var<T> a = pass.parameter(a_);
    return {x * exp(a), row_sum(a)};
  }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override {
    if (pass.statistics() == Statistics::minibatch) {
      const double next = static_cast<double>(count_[1]) + 1;
      pass.propose(count_, std::vector<double>{next, next > limit_ ? spoilt_ : next});
    }
    const Var<T> a = pass.parameter(a_);
    return {y * exp(-a), -row_sum(a)};
  }
  void do_fields(Fields<T>& f) override {
    f.type("counter");
    f.parameter("a", a_, {this->dim()});
    f.state("count", count_, {2});
  }

  int limit_;
  double spoilt_;
  Tensor<T> a_, count_;
};

/// A normal distribution of scale 1 that counts how often its fields are asked for.
class Asked final : public Distribution<double> {
 public:
  Asked(double loc, std::atomic<int>& asked) : Distribution<double>("Asked", 1), asked_(&asked), loc_({1}, loc) {}

 private:
  Column<double> do_log_prob(Pass<double>& pass, Var<double> y) const override {
    return row_sum_of_squares(y - pass.parameter(loc_)) * -0.5;
  }
  Var<double> do_sample(Pass<double>& pass) const override { return pass.normal(1) + pass.parameter(loc_); }
  void do_fields(Fields<double>& f) override {
    f.type("asked");
    f.parameter("loc", loc_, {1});
    ++*asked_;
  }

  std::atomic<int>* asked_;
  Tensor<double> loc_;
};

template <Scalar T>
void check_refused(double spoilt, const std::string& text) {
  const Matrix<T> y = make_data<T>(120, 2);
  for (const Poly<Optimizer<T>>& optimizer :
       {Poly<Optimizer<T>>(Adam<T>()), Poly<Optimizer<T>>(Sgd<T>()), Poly<Optimizer<T>>(LBfgs<T>({.iterations = 2}))})
    for (const Index shards : {1, 3})
      for (const int threads : {1, 2}) {
        INFO(optimizer->describe().type << ", " << shards << " shards, " << threads << " threads");
        Execution execution({.threads = threads, .all_always = true});
        FitOptions<T> options{.epochs = 2,
                              .batch_size = 120,
                              .shards = shards,
                              .optimizer = optimizer,
                              .validation_fraction = 0,
                              .execution = execution};
        const TransformedDistribution<T> start(Normal<T>(2), Counter<T>(2, 2, spoilt));
        TransformedDistribution<T> two = start, refused = start;
        fit(two, y, options);
        CHECK(static_cast<const Counter<T>&>(two.bijector()).count()[1] == 2);
        CHECK(values<T>(two) != values<T>(start));
        options.epochs = 5;
        CHECK_THROWS_AS(fit(refused, y, options), DomainError);
        CHECK(same_bits(values<T>(refused), values<T>(two)));
        CHECK_THROWS_WITH(fit(refused, y, options),
                          ContainsSubstring("the new value of 'bijector.count' is " + text + " in channel 1") &&
                              ContainsSubstring("it was not taken, nor was anything that came with it") &&
                              StartsWith("fit(TransformedDistribution"));
        CHECK(same_bits(values<T>(refused), values<T>(two)));
      }
}

}  // namespace

TEST_CASE("a proposal that is not finite is refused by name, with nothing half done") {
  check_refused<double>(std::numeric_limits<double>::infinity(), "inf");
  check_refused<double>(std::numeric_limits<double>::quiet_NaN(), "nan");
  check_refused<float>(1e39, "inf");
}

TEST_CASE("a step that is skipped anyway refuses nothing") {
  TransformedDistribution<double> flow(Normal<double>(2), Counter<double>(2, 0, NAN));
  FitOptions<double> options{.max_consecutive_skips = 3};
  options.loss = [](Pass<double>& pass, const Distribution<double>& d, Var<double> y) {
    return d.log_prob(pass, y) * NAN;
  };
  const FitReport report = fit(flow, make_data(40, 2), options);
  CHECK(report.stop_reason == StopReason::non_finite);
  CHECK(report.skipped_steps == 3);
  CHECK(static_cast<const Counter<double>&>(flow.bijector()).count()[1] == 0);
}

TEST_CASE("a variance that no float holds is refused") {
  Matrix<float> y = make_data<float>(64, 2);
  y.col(1) *= 1e25f;
  TransformedDistribution<float> flow(Normal<float>(2), BatchNormalization<float>(2));
  const std::vector<float> before = values<float>(flow);
  CHECK_THROWS_WITH(fit(flow, y, {.epochs = 1, .batch_size = 64, .validation_fraction = 0}),
                    ContainsSubstring("moving_variance' is inf in channel 1"));
  CHECK(same_bits(values<float>(flow), before));
}

TEST_CASE("a mixture is asked once whether it starts from the data, not in every step") {
  Matrix<double> y = make_data(256, 1);
  const auto asked = [&](Index batch_size, std::vector<double> locations) {
    std::atomic<int> count{0};
    std::vector<Poly<Distribution<double>>> components;
    for (const double loc : locations) components.push_back(Asked(loc, count));
    Mixture<double> mixture(std::move(components));
    Execution execution({.threads = 2, .all_always = true});
    const FitReport report = fit(
        mixture, y, {.epochs = 2, .batch_size = batch_size, .validation_fraction = 0, .execution = execution});
    CHECK(report.steps == 2 * 256 / batch_size);
    return count.load();
  };
  CHECK(asked(16, {1, 2}) == asked(128, {1, 2}));
  CHECK(asked(16, {1, 1}) == asked(128, {1, 1}));
}

TEST_CASE("equal components of a mixture start once") {
  // Rows that are all the same cannot part them.
  const Matrix<double> y = Matrix<double>::Constant(64, 1, 2.5);
  Mixture<double> mixture({Normal<double>(1), Normal<double>(1)});
  const FitReport report =
      fit(mixture, y, {.epochs = 3, .batch_size = 16, .learning_rate = 0.01, .validation_fraction = 0});
  CHECK(report.train_loss.back() < report.train_loss.front());
}

TEST_CASE("an error of a proposal names the call that was made, and says no more than is true") {
  // Values that a float cannot hold in the start from data, in the population statistics, and by hand.
  const std::string tail = "; it was not taken, nor was anything that came with it";
  Matrix<float> y = make_data<float>(64, 2);
  y.col(1) *= 1e25f;
  TransformedDistribution<float> flow(Normal<float>(2), BatchNormalization<float>(2));
  CHECK_THROWS_WITH(calibrate(flow, y), StartsWith("TransformedDistribution(") && ContainsSubstring(": calibrate: the new value of ") &&
                                            Catch::Matchers::EndsWith(tail));
  CHECK_THROWS_WITH(fit(flow, y, {.epochs = 0}),
                    StartsWith("fit(TransformedDistribution(") && ContainsSubstring(": the new value of ") &&
                        Catch::Matchers::EndsWith(tail));
  Proposals<float> proposals;
  const std::vector<double> spoilt{1, -std::numeric_limits<double>::quiet_NaN()};
  for (const Slot<float>& slot : list_state(static_cast<Component<float>&>(flow)))
    if (slot.path == "bijector.moving_mean") proposals.add(*slot.tensor, spoilt);
  REQUIRE(proposals.values.size() == 1);
  CHECK_THROWS_WITH(commit(flow, proposals),
                    Catch::Matchers::Equals(
                        "commit: the new value of 'bijector.moving_mean' is nan in channel 1, which is not finite" + tail));
}
