// What batch normalisation refuses: functions that are none or make what is not finite, bounds that bound nothing; and
// how texts write a NaN.

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <pushforward/pushforward.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();
/// As 0 / 0 gives it on x86.
const double negative_nan = -std::numeric_limits<double>::quiet_NaN();

template <class F>
std::string text_of(F call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

Tensor<double> rows_with(double odd) {
  Tensor<double> t({3, 2});
  const double values[] = {1, 2, 3, odd, 5, 9};
  std::copy(std::begin(values), std::end(values), t.data());
  return t;
}

/// Sets value 1 of a variable: in the first calls to 0.25, then to `bad`.
Constraint spoils(double bad, int good_calls = 0) {
  const auto calls = std::make_shared<int>(0);
  return Constraint::custom("spoils", [=](std::span<const Index>, std::span<double> w) {
    w[1] = (*calls)++ < good_calls ? 0.25 : bad;
  });
}
TransformedDistribution<double> flow_with(const Constraint& of_beta) {
  BatchNormLayerOptions options;
  options.beta_constraint = of_beta;
  return {MultivariateNormalDiag<double>(2), BatchNormalization<double>({2}, BatchNormLayer<double>({-1, 2}, options))};
}
FitOptions<double> steps_of_all_rows(Index count) {
  return {.epochs = count,
          .batch_size = 64,
          .learning_rate = 0.1,
          .validation_fraction = 0,
          .statistics = EvaluationStatistics::running};
}
std::vector<Tensor<double>> state(const Component<double>& c) {
  std::vector<Tensor<double>> all;
  for (const auto& slot : list_state(c)) all.push_back(*slot.tensor);
  return all;
}

}  // namespace

TEST_CASE("an empty function is refused where it is given", "[batch_norm]") {
  CHECK_THROWS_AS(Constraint::custom("none", {}), DomainError);
  CHECK_THROWS_WITH(Constraint::custom("none", {}), ContainsSubstring("Constraint::custom: expected a function"));
  CHECK_THROWS_WITH(Regularizer::custom("none", {}), ContainsSubstring("Regularizer::custom: expected a function"));
  CHECK_THROWS_WITH(Initializer::custom({}), ContainsSubstring("Initializer::custom: expected a function"));
}

TEST_CASE("bounds of the renorm clipping that are infinite", "[batch_norm]") {
  const auto text = [](Renorm r) { return text_of([&] { BatchNormLayer<double>({.renorm = r}); }); };
  CHECK_THAT(text({.rmin = infinite}), ContainsSubstring("finite rmin, got inf"));
  CHECK_THAT(text({.rmin = infinite, .rmax = infinite}), ContainsSubstring("finite rmin, got inf"));
  CHECK_THAT(text({.rmin = negative_nan}), ContainsSubstring("rmin >= 0"));
  for (const Renorm& r : {Renorm{.rmax = infinite, .dmax = 5, .open_rmax = 10, .open_dmax = 10},
                          Renorm{.rmax = 3, .dmax = infinite, .open_rmax = 10, .open_dmax = 10}})
    CHECK_THAT(text(r), ContainsSubstring("finite rmax and dmax"));
  // From a file.
  const BatchNormLayer<double> good({-1, 2}, {.renorm = Renorm{.rmin = 1, .rmax = 1.5}});
  Description d = good.describe();
  d.constants["renorm_rmin"] = infinite;
  d.constants.erase("renorm_rmax");
  CHECK_THROWS_WITH(BatchNormLayer<double>(d), ContainsSubstring("finite rmin"));

  // Infinite upper bounds are none, as in TensorFlow.
  const Tensor<double> x = rows_with(7);
  const BatchNormLayer<double> open({-1, 2}, {.renorm = Renorm{.rmax = infinite, .dmax = infinite}});
  const BatchNormLayer<double> free({-1, 2}, {.renorm = Renorm{}});
  CHECK(open.train(x.view()).output == free.train(x.view()).output);
}

TEST_CASE("a constraint that makes what is not finite changes nothing", "[batch_norm]") {
  for (const double bad : {negative_nan, infinite}) {
    BatchNormLayerOptions options;
    // The one of gamma is good, and comes first.
    options.gamma_constraint =
        Constraint::custom("halves", [](std::span<const Index>, std::span<double> w) { w[0] /= 2; });
    options.beta_constraint = spoils(bad);
    BatchNormLayer<double> layer({-1, 2}, options);
    const std::string text = text_of([&] { layer.apply_constraints(); });
    const std::string made = std::isnan(bad) ? "nan" : "inf";
    CHECK_THAT(text, ContainsSubstring("constraint 'spoils' of beta made " + made + " of value 1"));
    CHECK(layer.gamma() == std::vector<double>{1, 1});
    CHECK(layer.beta() == std::vector<double>{0, 0});
  }
}

TEST_CASE("fit refuses a step that a constraint spoils, with nothing half done", "[batch_norm]") {
  Engine engine(3);
  const Matrix<double> y = Normal<double>(2).sample(64, engine);
  for (const Poly<Optimizer<double>>& optimizer :
       {Poly<Optimizer<double>>(Adam<double>()), Poly<Optimizer<double>>(LBfgs<double>())})
    for (const int threads : {1, 2}) {
      INFO(threads);
      Execution execution({.threads = threads, .all_always = true});
      // Two steps are good, the third is not: what is left is what two steps give.
      auto expected = flow_with(spoils(0.25));
      auto two = steps_of_all_rows(2);
      two.optimizer = optimizer;
      two.execution = execution;
      fit(expected, y, two);
      auto flow = flow_with(spoils(negative_nan, 2));
      auto five = steps_of_all_rows(5);
      five.optimizer = optimizer;
      five.execution = execution;
      const std::string text = text_of([&] { fit(flow, y, five); });
      CHECK_THAT(text, ContainsSubstring("fit(") && ContainsSubstring("the constraint of 'bijector.") &&
                           ContainsSubstring("beta' made nan of value 1"));
      CHECK(state(flow) == state(expected));
    }
  // What a constraint throws goes the same way.
  auto flow = flow_with(Constraint::custom(
      "throws", [](std::span<const Index>, std::span<double>) { throw DomainError("of the constraint"); }));
  const std::vector<Tensor<double>> before = state(flow);
  CHECK_THROWS_WITH(fit(flow, y, steps_of_all_rows(1)), "of the constraint");
  CHECK(state(flow) == before);
}

TEST_CASE("an average of weights that a constraint spoils is not put in", "[batch_norm]") {
  Engine engine(3);
  const Matrix<double> y = Normal<double>(2).sample(64, engine);
  // One step is projected; the second call is that of the average.
  auto flow = flow_with(spoils(infinite, 1));
  FitOptions<double> options = steps_of_all_rows(1);
  auto plain = flow_with(spoils(0.25));
  fit(plain, y, options);
  options.optimizer = Ema<double>(Adam<double>());
  CHECK_THROWS_WITH(fit(flow, y, options), ContainsSubstring("Ema: the constraint of 'bijector."));
  CHECK(state(flow) == state(plain));
}

TEST_CASE("texts write a NaN without a sign", "[batch_norm]") {
  BatchNormLayer<double> layer({-1, 2}, {});
  const std::string commit = text_of([&] {
    const Tensor<double> x = rows_with(infinite);
    layer.commit(layer.train(x.view()));
  });
  CHECK_THAT(commit, ContainsSubstring("variance nan"));
  const std::vector<std::function<void()>> calls = {
      [&] { layer.commit(layer.train(rows_with(infinite).view())); },
      [] { BatchNormLayer<double>({.momentum = negative_nan}); },
      [] { BatchNormLayer<double>({.epsilon = negative_nan}); },
      [] { BatchNormLayer<double>({.renorm = Renorm{.momentum = negative_nan}}); },
      [] { batch_norm_convention("keras", negative_nan); },
      [&] {
        const std::vector<double> mean{0, negative_nan}, variance{1, 1};
        layer.set_population(mean, variance);
      },
      [] { Normal<double>({negative_nan}, {1}); },
      [] { Normal<double>({0}, {negative_nan}); },
      [] { Uniform<double>({negative_nan}, {1}); },
      [] { Space::integers(std::vector<Interval>{{negative_nan, 1}}); },
      [] { Space::box(1, {negative_nan, 1}); },
      [] { Space::circle(1, {0, negative_nan}); },
      [] { Scale<double>({negative_nan}); },
      [] { Sigmoid<double>(1, negative_nan, 1); },
      [] { Sigmoid<double>(1, 0, negative_nan); },
      [] { ColumnSupports<double>({Interval{negative_nan, 1}}); },
      [] { ActNorm<double>(1, negative_nan); },
      [] { Adam<double>({.beta1 = negative_nan}); },
      [] { Ema<double>(Adam<double>(), {.decay = negative_nan}); },
  };
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const std::string text = text_of(calls[i]);
    INFO(i << ": " << text);
    CHECK(text.find("nan") != std::string::npos);
    CHECK(text.find("-nan") == std::string::npos);
  }
}
