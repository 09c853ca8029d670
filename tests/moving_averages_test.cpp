// TensorFlow's moving averages: closed forms, zero debias, weights, what is refused.

#include <cmath>
#include <pushforward/error.hpp>
#include <pushforward/ports/tf_nn.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/ports.hpp"

using namespace pushforward;
namespace tf_nn = pushforward::batch_norm::tf_nn;
using namespace port_tests;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("Moving averages", "[tf_nn]") {
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{1, 2, 1}, Shape{2, 3, 2, 2}}) {
    Tensor<double> plain = numbers(shape, 1), debiased = plain;
    const Tensor<double> start = plain;
    tf_nn::ZeroDebias<double> state;
    std::vector<double> biased(static_cast<std::size_t>(plain.size()), 0.0),
        average(plain.values().begin(), plain.values().end());
    for (int t = 1; t <= 4; ++t) {
      const Tensor<double> value = numbers(shape, 10 + static_cast<std::uint64_t>(t));
      tf_nn::assign_biased_moving_average(plain, value.view(), 0.9);
      tf_nn::assign_moving_average(debiased, value.view(), 0.9, state);
      for (std::size_t i = 0; i < biased.size(); ++i) {
        average[i] = 0.9 * average[i] + 0.1 * value.values()[i];
        biased[i] = 0.9 * biased[i] + 0.1 * value.values()[i];
        CHECK(plain.values()[i] == Approx(average[i]).margin(1e-14));
        CHECK(debiased.values()[i] == Approx(biased[i] / (1 - std::pow(0.9, t))).margin(1e-14));
        if (t == 1) CHECK(debiased.values()[i] == Approx(value.values()[i]));
      }
      CHECK(state.step == t);
    }
  }
  // reference: updates 3 and 5 with decay 0.99
  Tensor<double> v({1}, 1);
  tf_nn::ZeroDebias<double> state;
  const Tensor<double> three({1}, 3), five({1}, 5);
  tf_nn::assign_moving_average(v, three.view(), 0.99, state);
  CHECK(v[0] == Approx(3));
  tf_nn::assign_moving_average(v, five.view(), 0.99, state);
  CHECK(v[0] == Approx(4.0050251256).epsilon(1e-10));
  tf_nn::assign_biased_moving_average(v, three.view(), 1);  // nothing new
  CHECK(v[0] == Approx(4.0050251256).epsilon(1e-10));
  tf_nn::assign_biased_moving_average(v, three.view(), 0);  // nothing old
  CHECK(v[0] == 3);
}

TEST_CASE("weighted_moving_average", "[tf_nn]") {
  struct Layout {
    Shape value, weight;
  };
  for (const Layout& l : {Layout{{3}, {}}, Layout{{2, 3}, {3}}, Layout{{2, 3, 2}, {2, 1, 1}}, Layout{{2, 2}, {2, 2}}}) {
    tf_nn::WeightedAverage<double> state;
    tf_nn::WeightedAverage<float> float_state;
    std::vector<double> top, bottom;
    for (std::uint64_t t = 0; t < 4; ++t) {
      const Tensor<double> value = numbers(l.value, 10 + t), weight = numbers(l.weight, 20 + t, true);
      const Tensor<double> got = tf_nn::weighted_moving_average(state, value.view(), 0.8, weight.view());
      top.resize(static_cast<std::size_t>(value.size()), 0.0);
      bottom.resize(top.size(), 0.0);
      for (std::size_t i = 0; i < top.size(); ++i) {
        const std::size_t n = static_cast<std::size_t>(weight.size());
        const double w = weight.values()[l.weight == Shape{2, 1, 1} ? i / 6 : i % n];
        top[i] = 0.8 * top[i] + 0.2 * w * value.values()[i];
        bottom[i] = 0.8 * bottom[i] + 0.2 * w;
        CHECK(got.values()[i] == Approx(top[i] / bottom[i]).margin(1e-13));
      }
      const Tensor<float> value_f = cast<float>(value), weight_f = cast<float>(weight);
      check_close(cast<double>(tf_nn::weighted_moving_average(float_state, value_f.view(), 0.8, weight_f.view())), got,
                  1e-5);
    }
  }
}

TEST_CASE("ExponentialMovingAverage", "[tf_nn]") {
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 2, 2}}) {
    tf_nn::ExponentialMovingAverage<double> ema(0.9), debiased(0.9, {}, true);
    Tensor<double> variable, zero(shape), biased(shape);
    for (std::uint64_t t = 1; t <= 3; ++t) {
      const Tensor<double> value = numbers(shape, t);
      if (t == 1) variable = value;
      ema.apply("w", value.view());
      ema.apply("loss", value.view(), tf_nn::Start::zero);
      debiased.apply("w", value.view());
      debiased.apply("loss", value.view(), tf_nn::Start::zero);
      for (Index i = 0; i < value.size(); ++i) {
        variable[i] = 0.9 * variable[i] + 0.1 * value[i];
        zero[i] = 0.9 * zero[i] + 0.1 * value[i];
        biased[i] = zero[i] / (1 - std::pow(0.9, static_cast<double>(t)));
      }
      check_close(ema.average("w"), variable, 1e-14);
      check_close(ema.average("loss"), zero, 1e-14);
      check_close(debiased.average("w"), variable, 1e-14);  // starts at the value: no bias to take away
      check_close(debiased.average("loss"), biased, 1e-14);
    }
    const tf_nn::ExponentialMovingAverage<double> copy = ema;
    ema.apply("w", std::as_const(zero).view());
    check_close(copy.average("w"), variable, 1e-14);
  }
  tf_nn::ExponentialMovingAverage<double> ema(0.9, 0);
  CHECK(ema.decay() == Approx(0.1));
  ema.set_num_updates(5);
  CHECK(ema.decay() == Approx(0.4));
  ema.set_num_updates(1000);
  CHECK(ema.decay() == 0.9);
  CHECK_THROWS_WITH(ema.average("w"), ContainsSubstring("no average of 'w'"));
  const Tensor<double> two({2}), three({3});
  ema.apply("a", two.view());
  ema.apply("b", two.view());
  CHECK_THROWS_WITH(ema.average("w"), ContainsSubstring("there are: 'a', 'b'"));
  CHECK_THROWS_AS(ema.apply("a", three.view()), ShapeError);
  CHECK_THROWS_WITH(ema.set_num_updates(-1), ContainsSubstring("num_updates must not be negative"));
  CHECK_THROWS_WITH(tf_nn::ExponentialMovingAverage<double>(1.5), ContainsSubstring("decay must be in [0, 1]"));
  CHECK_THROWS_WITH(tf_nn::ExponentialMovingAverage<double>(1, {}, true), ContainsSubstring("decay must be in [0, 1)"));
}
