// The examples in the headers' documentation, compiled and run: docs_check looks for each of them here or in a sample.

#include <cmath>
#include <pushforward/ports/aesara.hpp>
#include <pushforward/ports/tf_layers.hpp>
#include <pushforward/ports/tf_nn.hpp>
#include <pushforward/pushforward.hpp>

#include "tests/catch.hpp"

using namespace pushforward;
using namespace pushforward::batch_norm;

namespace {

Tensor<float> noise(std::vector<Index> shape, std::uint64_t seed) {
  Tensor<float> t(std::move(shape));
  Engine(seed).next_call().normal(0, t.size(), 1, t.data(), t.size());
  return t;
}
/// Largest of |mean| and |variance - 1| per channel, the last axis or axis 1.
double whiteness(const Tensor<float>& t, std::vector<Index> averaged) {
  const tf_nn::Moments<float> m = tf_nn::moments(t, averaged);
  double worst = 0;
  for (Index c = 0; c < m.mean.size(); ++c)
    worst = std::max({worst, std::abs(double(m.mean[c])), std::abs(double(m.variance[c]) - 1)});
  return worst;
}

}  // namespace

TEST_CASE("the example of ports/tf_nn.hpp", "[examples]") {
  Tensor<float> x = noise({8, 3, 3, 2}, 1), y;
  for (float& v : x.values()) v = 3 * v + 5;
  Tensor<float> moving_mean({2}), moving_variance({2}, 1), beta({2}), gamma({2}, 1);
  tf_nn::ZeroDebias<float> mean_state;

  const auto m = tf_nn::moments(x, {0, 1, 2});  // training
  tf_nn::assign_moving_average(moving_mean, m.mean, 0.99, mean_state);
  y = tf_nn::batch_normalization(x, m.mean, m.variance, beta, gamma, 1e-3);

  CHECK(whiteness(y, {0, 1, 2}) < 1e-3);
  CHECK(moving_mean[0] == Approx(m.mean[0]).epsilon(1e-5));  // TensorFlow's default forgets the start

  const Tensor<float> w = noise({5}, 2);
  tf_nn::ExponentialMovingAverage<float> ema(0.999);
  ema.apply("w", w);  // after each step
  const Tensor<float>& smooth = ema.average("w");
  CHECK(smooth == w);
}

TEST_CASE("the example of ports/aesara.hpp", "[examples]") {
  Tensor<float> x = noise({8, 2, 3, 3}, 3), y, gamma({2}, 1), beta({2}), mean({2}), var({2}, 1);

  const auto spatial = aesara::Axes::spatial();
  aesara::TrainOptions<float> options{.axes = spatial, .running_mean = mean.view(), .running_var = var.view()};
  auto t = aesara::batch_normalization_train(x, gamma, beta, options);
  mean = *t.running_mean;
  var = *t.running_var;
  y = aesara::batch_normalization_test(x, gamma, beta, mean, var, spatial);

  CHECK(whiteness(t.out, {0, 2, 3}) < 1e-3);
  const tf_nn::Moments<float> m = tf_nn::moments(x, {0, 2, 3});
  CHECK(mean[1] == Approx(0.1 * double(m.mean[1])).epsilon(1e-5));
  CHECK(var[1] == Approx(0.9 + 0.1 * 72 / 71.0 * double(m.variance[1])).epsilon(1e-5));
  CHECK(y[9] == Approx((x[9] - mean[1]) / std::sqrt(var[1] + 1e-4F)).epsilon(1e-5));
}

TEST_CASE("the example of batch_norm/layer.hpp", "[examples]") {
  const Tensor<float> input = noise({2, 64, 28, 28}, 4), adjoint = noise({2, 64, 28, 28}, 5);
  const TensorView<const float> x = input.view(), dy = adjoint.view();
  Tensor<float> gradient({2, 64, 28, 28});
  const TensorView<float> dx = gradient.view();

  BatchNormLayer<float> layer({.axis = {1}});
  layer.build({-1, 64, 28, 28});
  auto step = layer.train(x);  // nothing in `layer` has changed
  auto g = layer.backward(x, step, dy, dx);
  layer.commit(step);          // now the averages have
  Tensor<float> y = layer(x);  // inference

  CHECK(whiteness(step.output, {0, 2, 3}) < 2e-3);
  CHECK(g.beta[0] == Approx(2 * 28 * 28 * double(tf_nn::moments(adjoint, {0, 2, 3}).mean[0])).epsilon(1e-4));
  CHECK(layer.moving_mean()[0] == Approx(0.01 * double(tf_nn::moments(input, {0, 2, 3}).mean[0])).epsilon(1e-4));
  CHECK(std::abs(y[0] - step.output[0]) > 0);
}

TEST_CASE("the examples of bijector.hpp and bijectors/batch_normalization.hpp", "[examples]") {
  BatchNormalization<double> bn(2);
  const Eigen::MatrixXd y = Eigen::MatrixXd::Random(20, 2);
  {
    const auto [x, log_det, statistics] = bn.inverse(y, Statistics::minibatch);
    const auto again = bn.forward(x, statistics);  // y
    commit(bn, statistics);                        // the moving statistics follow: `fit` does it by itself
    CHECK((again.value - y).cwiseAbs().maxCoeff() < 1e-14);
    CHECK(log_det.size() == 20);
  }
  BatchNormalization<double>& bijector = bn;
  const auto step = bijector.inverse(y, Statistics::minibatch);
  commit(bijector, step.statistics);  // the moving statistics follow
  CHECK(bn.moving_mean()[0] == Approx((0.9 * 0.1 + 0.1) * y.col(0).mean()).epsilon(1e-14));
}

TEST_CASE("the example of training/prepare.hpp", "[examples]") {
  const Eigen::MatrixXd data = (Eigen::MatrixXd::Random(100, 4).array() + 1.001) / 2.1,
                        context = Eigen::MatrixXd::Random(100, 2);

  auto [model, report] = prepare_and_fit(maf<double>(4, {.context_dim = 2}), data,
                                         {.support = Space::box({{0, 1}, {}, {}, {}})}, {.epochs = 100, .context = context});

  CHECK(std::isfinite(report.train_loss.back()));
  CHECK(model.log_prob(data, context).allFinite());
}

namespace {

template <Scalar T>
Var<T> example_of_a_scope(Tape<T>& tape, Var<T> x) {
  const Var<T> kept = tape.matrix(x.cols(), false);
  {
    const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);  // not recorded, whatever the tape does
    assign(kept, exp(x) - x);
  }
  return kept;
}

}  // namespace

TEST_CASE("the example of tape.hpp", "[examples]") {
  Arena batch, local;
  Tape<double> tape(Tape<double>::Mode::record, {batch, local}, 1);
  const Var<double> x = tape.matrix(1, true);
  std::fill_n(tape.value(x, 0), tape.padded_rows(), 2.0);
  const Var<double> kept = example_of_a_scope(tape, x);
  CHECK(kept.values()[0] == Approx(std::exp(2.0) - 2));
  CHECK_FALSE(kept.wants_gradient());
}

TEST_CASE("the examples of training/optimizer.hpp, losses.hpp and prepare_and_fit", "[examples]") {
  const Eigen::MatrixXd data = Eigen::MatrixXd::Random(60, 4);
  const Loss<double> my_penalty = [](Pass<double>& pass, const Distribution<double>& flow, Var<double> y) {
    return batch_log_sum_exp(flow.log_prob(pass, y)) * 0.01;
  };
  TransformedDistribution<double> flow = maf<double>(4);
  const double before = flow.log_prob(data).mean();

  fit(flow, data, {.objective = {.rows = negative_log_likelihood<double>(), .batch = my_penalty}});
  fit(flow, data, {.learning_rate = 1e-4, .optimizer = Lion<double>()});
  fit(flow, data, {.optimizer = Ema<double>(Adam<double>({.beta2 = 0.99}), {.decay = 0.999})});
  CHECK(flow.log_prob(data).mean() > before);

  // Minus the log of the sum of the rows' densities.
  const Objective<double> in_shards{
      .columns = [](auto& pass, const auto& flow, auto y) { return std::vector{flow.log_prob(pass, y)}; },
      .coupling = [](auto columns) { return -batch_log_sum_exp(columns[0]); }};
  const double sum_before = flow.log_prob(data).array().exp().sum();
  fit(flow, data, {.batch_size = 60, .shards = 4, .validation_fraction = 0, .objective = in_shards});
  CHECK(flow.log_prob(data).array().exp().sum() > sum_before);

  auto [model, report] = prepare_and_fit(maf<double>(4), data, {}, {.epochs = 100});
  CHECK(model.log_prob(data).mean() > before);
  CHECK(report.steps > 0);
}
