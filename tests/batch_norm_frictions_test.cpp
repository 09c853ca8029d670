// What people stumbled over in batch normalisation: names with other defaults, arguments that did not compile, state
// that one batch could spoil, options that were refused or taken against the system they come from.

#include <cmath>
#include <filesystem>
#include <limits>
#include <pushforward/ports/aesara.hpp>
#include <pushforward/ports/tf_layers.hpp>
#include <pushforward/ports/tf_nn.hpp>
#include <pushforward/pushforward.hpp>
#include <sstream>

#include "tests/catch.hpp"

using namespace pushforward;
namespace bn = pushforward::batch_norm;
namespace tf_nn = pushforward::batch_norm::tf_nn;
namespace tf_layers = pushforward::batch_norm::tf_layers;
namespace aesara = pushforward::batch_norm::aesara;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// Rows {1, 2}, {3, 7}, {5, 9}: means 3, 6, variances 8/3, 26/3.
template <Scalar T>
Tensor<T> rows() {
  Tensor<T> t({3, 2});
  const double values[] = {1, 2, 3, 7, 5, 9};
  std::copy(std::begin(values), std::end(values), t.data());
  return t;
}
template <class T, class... More>
Tensor<T> of(T first, More... more) {
  return Tensor<T>::of({first, static_cast<T>(more)...});
}
bool same(const Tensor<double>& a, const Tensor<double>& b) { return a == b; }

}  // namespace

// --------------------------------------------------------------------------------------------- what functions take

namespace {

/// All functional forms with x, and with parameters of the same making.
template <class X, class P>
std::vector<Tensor<double>> every_form(X&& x, P&& gamma, P&& beta) {
  std::vector<Tensor<double>> all;
  const auto add = [&](auto... t) { (all.push_back(t), ...); };

  const tf_nn::Moments<double> m = tf_nn::moments(x, {0});
  add(m.mean, m.variance);
  add(tf_nn::moments_backward(x, {0}, gamma, beta), tf_nn::moments_backward(x, {0}, {}, beta));
  add(tf_nn::batch_normalization(x, m.mean, m.variance, beta, gamma, 1e-3));
  add(tf_nn::batch_normalization(x, m.mean, m.variance, {}, {}, 1e-3));
  const tf_nn::Gradients<double> g = tf_nn::batch_normalization_backward(x, m.mean, m.variance, beta, gamma, 1e-3, x);
  add(g.x, g.mean, g.variance, g.offset, g.scale);
  const tf_nn::Moments<double> w = tf_nn::weighted_moments(x, {0}, gamma, true);
  add(w.mean, w.variance);
  const tf_nn::WeightedGradients<double> wg = tf_nn::weighted_moments_backward(x, {0}, gamma, beta, {});
  add(wg.x, wg.frequency_weights);
  add(tf_nn::sufficient_statistics(x, {0}).sum, tf_nn::sufficient_statistics(x, {0}, beta).sum_of_squares);
  add(tf_nn::normalize_moments(tf_nn::sufficient_statistics(x, {0})).variance);
  tf_nn::WeightedAverage<double> average;
  add(tf_nn::weighted_moving_average(average, x, 0.9, gamma));
  tf_nn::ExponentialMovingAverage<double> ema(0.9);
  ema.apply("x", x);
  add(ema.average("x"));

  const aesara::Trained<double> t = aesara::batch_normalization_train(x, gamma, beta);
  add(t.out, t.mean, t.invstd);
  const Tensor<double> ones(t.out.shape(), 1.0);
  const aesara::TrainGradients<double> tg =
      aesara::batch_normalization_train_backward(x, gamma, t.mean, t.invstd, {.out = ones.view()});
  add(tg.x, tg.gamma, tg.beta);
  add(aesara::batch_normalization_train_grad(x, x, gamma, t.mean, t.invstd).x);
  add(aesara::batch_normalization_train_grad_backward(x, x, gamma, t.mean, t.invstd, {.x = ones.view()}).dy);
  add(aesara::batch_normalization_test(x, gamma, beta, t.mean, m.variance));
  add(aesara::batch_normalization_test_backward(x, gamma, beta, t.mean, m.variance, x).var);
  const aesara::Normalized<double> n = aesara::batch_normalization(x, gamma, beta, t.mean, gamma);
  add(n.out, aesara::batch_normalization_backward(x, gamma, beta, t.mean, gamma, n, x).std);

  tf_layers::VariableStore<double> store;
  add(tf_layers::batch_normalization(x, store, {}, true).output);
  return all;
}

/// What is written to.
template <class V>
void move_average(V&& variable, Tensor<double>& biased) {
  tf_nn::ZeroDebias<double> state;
  tf_nn::assign_moving_average(variable, of<double>(3, 5), 0.99, state);
  tf_nn::assign_biased_moving_average(variable, of<double>(1, 1), 0.5);
  biased = state.biased;
}

}  // namespace

TEST_CASE("functional forms take tensors, views and Eigen matrices, const or not", "[batch_norm]") {
  Tensor<double> x = rows<double>(), gamma = of<double>(2, 0.5), beta = of<double>(0.1, -0.2);
  const Tensor<double>&cx = x, &cg = gamma, &cb = beta;
  const std::vector<Tensor<double>> expected = every_form(cx.view(), cg.view(), cb.view());
  CHECK(expected[0] == of<double>(3, 6));
  CHECK(expected[4][0] == Approx(-2.349030593).epsilon(1e-9));  // TensorFlow's

  Eigen::MatrixXd columns(3, 2);
  columns << 1, 2, 3, 7, 5, 9;
  Eigen::Matrix<double, 5, 4, Eigen::RowMajor> wider = Eigen::Matrix<double, 5, 4, Eigen::RowMajor>::Zero();
  wider.block<3, 2>(1, 1) = columns;
  Eigen::Vector2d g(2, 0.5), b(0.1, -0.2);
  const Eigen::RowVector2d row_g(2, 0.5), row_b(0.1, -0.2);
  const Eigen::MatrixXd& const_columns = columns;

  const auto equal = [&](const std::vector<Tensor<double>>& got) {
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      REQUIRE(got[i].shape() == expected[i].shape());
      for (Index k = 0; k < got[i].size(); ++k) CHECK(got[i][k] == Approx(expected[i][k]).epsilon(1e-14).margin(1e-14));
    }
  };
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(same(every_form(x, gamma, beta)[i], expected[i]));
  equal(every_form(cx, cg, cb));
  equal(every_form(x.view(), gamma.view(), beta.view()));
  equal(every_form(columns, g, b));
  equal(every_form(const_columns, row_g, row_b));
  equal(every_form(wider.block(1, 1, 3, 2), g, b));
  equal(every_form(Eigen::Map<const Eigen::Matrix<double, 3, 2, Eigen::RowMajor>>(x.data()), g, b));

  // Explicit scalars, as in code for 0.1.
  CHECK(tf_nn::moments<double>(cx.view(), {0}).mean == of<double>(3, 6));
  // An expression has no storage.
  CHECK_FALSE(bn::TensorLike<decltype(columns + columns)>);
  CHECK_FALSE(bn::TensorLike<double>);
}

TEST_CASE("functional forms write to tensors, views and Eigen matrices", "[batch_norm]") {
  const Tensor<double> x = rows<double>(), mean = of<double>(3, 6), variance = of<double>(8 / 3.0, 26 / 3.0);
  const Tensor<double> expected = tf_nn::batch_normalization(x, mean, variance, {}, {}, 1e-3);
  Tensor<double> tensor({3, 2}), view({3, 2});
  Eigen::MatrixXd matrix(3, 2);
  tf_nn::batch_normalization_into(x, mean, variance, {}, {}, 1e-3, tensor);
  tf_nn::batch_normalization_into(x, mean, variance, {}, {}, 1e-3, view.view());
  tf_nn::batch_normalization_into(x, mean, variance, {}, {}, 1e-3, matrix);
  CHECK(tensor == expected);
  CHECK(view == expected);
  for (Index i = 0; i < 3; ++i)
    for (Index c = 0; c < 2; ++c) CHECK(matrix(i, c) == expected(i, c));

  Tensor<double> variable({2}), viewed({2}), biased, same_biased;
  Eigen::Matrix<double, 2, 3> rows = Eigen::Matrix<double, 2, 3>::Zero();
  move_average(variable, biased);
  move_average(viewed.view(), same_biased);
  CHECK(variable[0] == Approx(2).epsilon(1e-14));  // (3 + 1) / 2: the first average is the value
  CHECK(variable == viewed);
  CHECK(biased == same_biased);
  move_average(rows.col(1), biased);
  CHECK(rows(0, 1) == variable[0]);
  CHECK(rows(1, 1) == variable[1]);
  CHECK(rows.col(0).isZero());
  CHECK(rows.col(2).isZero());
}

namespace {
template <class... Arguments>
concept AssignsMovingAverage = requires(Arguments... a) { tf_nn::assign_moving_average(a...); };
}  // namespace

TEST_CASE("a moving average of three arguments, which means another thing in TensorFlow, does not compile",
          "[batch_norm]") {
  // tf.raw: v = tf.Variable([1.]); assign_moving_average(v, [3.], 0.99) gives 3., then [5.] gives 4.0050251
  CHECK_FALSE(AssignsMovingAverage<Tensor<double>&, const Tensor<double>&, double>);
  CHECK(AssignsMovingAverage<Tensor<double>&, const Tensor<double>&, double, tf_nn::ZeroDebias<double>&>);
  Tensor<double> v = of<double>(1);
  tf_nn::ZeroDebias<double> state;
  tf_nn::assign_moving_average(v, of<double>(3), 0.99, state);
  CHECK(v[0] == Approx(3).epsilon(1e-14));
  tf_nn::assign_moving_average(v, of<double>(5), 0.99, state);
  CHECK(v[0] == Approx((0.99 * 0.03 + 0.05) / (1 - 0.99 * 0.99)).epsilon(1e-14));
  // zero_debias = False: from where the variable stood.
  Tensor<double> plain = of<double>(1);
  tf_nn::assign_biased_moving_average(plain, of<double>(3), 0.99);
  CHECK(plain[0] == Approx(1.02).epsilon(1e-14));
}

// -------------------------------------------------------------------------------------------- loops written by hand

TEMPLATE_TEST_CASE("a loop by hand commits what the call proposed", "[batch_norm]", float, double) {
  using T = TestType;
  // By itself, the same layer step by step: the tensor form is tested against Keras.
  BatchNormLayerOptions options = GENERATE(BatchNormLayerOptions{}, BatchNormLayerOptions{.fusion = Fusion::fused},
                                           batch_norm_convention("nflows", 0.1));
  BatchNormalization<T> bijector({2}, BatchNormLayer<T>(options));
  BatchNormLayer<T> layer({-1, 2}, options);
  Engine engine(3);
  for (int step = 0; step < 5; ++step) {
    Tensor<T> y({7, 2});
    engine.next_call().normal(0, y.size(), 1, y.data(), y.size());
    const Tensor<T>& read = y;
    const auto [x, log_det, statistics] =
        bijector.inverse(Eigen::Map<const Eigen::Matrix<T, 7, 2, Eigen::RowMajor>>(y.data()), Statistics::minibatch);
    const Tensor<T> before = bijector.moving_mean();
    commit(bijector, statistics);
    CHECK(!(bijector.moving_mean() == before));
    layer.commit(layer.train(read.view()));
    for (Index c = 0; c < 2; ++c) {
      CHECK(double(bijector.moving_mean()[c]) ==
            Approx(double(layer.moving_mean()[c])).epsilon(sizeof(T) == 4 ? 1e-6 : 1e-14));
      CHECK(double(bijector.moving_variance()[c]) ==
            Approx(double(layer.moving_variance()[c])).epsilon(sizeof(T) == 4 ? 1e-6 : 1e-14));
    }
  }
}

TEST_CASE("commit of statistics finds every layer of a tree, and is all or nothing", "[batch_norm]") {
  const std::vector<double> shift{1, 2}, log_scale{0.5, -0.5};
  Chain<double> chain(BatchNormalization<double>(2), Affine<double>(shift, log_scale), BatchNormalization<double>(2));
  Engine engine(4);
  Eigen::MatrixXd y(11, 2);
  engine.next_call().normal(0, 11, 2, y.data(), 11);
  const Eigen::MatrixXd before = chain.inverse(y).value;
  BatchStatistics statistics = chain.inverse(y, Statistics::minibatch).statistics;
  CHECK(statistics.proposals.size() == 4);
  CHECK(chain.inverse(y, Statistics::population).statistics.proposals.empty());
  CHECK(chain.inverse(y).value == before);

  BatchStatistics spoilt = statistics;
  spoilt.proposals.rbegin()->second[1] = not_a_number;
  CHECK_THROWS_WITH(commit(chain, spoilt), ContainsSubstring(spoilt.proposals.rbegin()->first) &&
                                               ContainsSubstring("channel 1") && ContainsSubstring("not finite"));
  BatchStatistics stranger = statistics;
  stranger.proposals["7.moving_mean"] = {0, 0};
  CHECK_THROWS_WITH(commit(chain, stranger), ContainsSubstring("7.moving_mean"));
  CHECK(chain.inverse(y).value == before);

  commit(chain, statistics);
  // The last layer sees the data: 0.9 of the start and 0.1 of the batch.
  std::vector<const Tensor<double>*> means;
  for (const ConstSlot<double>& slot : list_state(std::as_const(static_cast<Component<double>&>(chain))))
    if (slot.path.ends_with("moving_mean")) means.push_back(slot.tensor);
  REQUIRE(means.size() == 2);
  CHECK((*means[1])[0] == Approx(0.1 * y.col(0).mean()).epsilon(1e-13));
  // A batch of the float range's end has a variance that float does not hold.
  BatchNormalization<float> narrow(1);
  const Eigen::MatrixXf far{{-1e30F}, {1e30F}};
  const auto step = narrow.inverse(far, Statistics::minibatch);
  CHECK_THROWS_WITH(commit(narrow, step.statistics), ContainsSubstring("moving_variance"));
  CHECK(narrow.moving_mean()[0] == 0);
}

// ------------------------------------------------------------------------------------------------- what spoils state

TEMPLATE_TEST_CASE("a batch that is not finite does not enter the averages of a layer", "[batch_norm]", float, double) {
  using T = TestType;
  BatchNormLayerOptions options = GENERATE(BatchNormLayerOptions{}, BatchNormLayerOptions{.renorm = Renorm{}});
  BatchNormLayer<T> layer({-1, 2}, options);
  const Tensor<T> good = rows<T>();
  layer.commit(layer.train(good.view()));
  const BatchNormLayer<T> before = layer;
  for (const double bad : {not_a_number, std::numeric_limits<double>::infinity()}) {
    Tensor<T> x = rows<T>();
    x(1, 1) = static_cast<T>(bad);
    CHECK_THROWS_WITH(layer.commit(layer.train(std::as_const(x).view())),
                      ContainsSubstring("in channel 1") && ContainsSubstring("nothing has changed"));
  }
  for (const auto& slot : list_state(std::as_const(static_cast<Component<T>&>(layer)))) {
    const std::string name = slot.path;
    CHECK(layer.variable(name) == before.variable(name));
  }

  tf_layers::VariableStore<T> store;
  tf_layers::batch_normalization(rows<T>(), store, {.name = "bn"}, true);
  Tensor<T> x = rows<T>();
  x(0, 0) = static_cast<T>(not_a_number);
  tf_layers::batch_normalization(x, store, {.name = "bn"}, true, tf_layers::Reuse::yes);
  CHECK_THROWS_WITH(store.run_updates(), ContainsSubstring("in channel 0"));
  CHECK(store.pending_updates() == 2);
  CHECK(store.layer("bn").moving_mean()[1] == 0);  // not even by the first
  store.discard_updates();
  store.run_updates();
}

TEST_CASE("averages in float stand still where the documentation says, and population statistics do not",
          "[batch_norm]") {
  // TensorFlow's stand still, too. The distance that is left: half the spacing of floats over 1 - momentum.
  for (const double mean : {1e4, 1e6}) {
    BatchNormLayer<float> layer({-1, 1}, {});
    BatchNormLayer<double> wide({-1, 1}, {});
    typename BatchNormLayer<float>::Step step;
    typename BatchNormLayer<double>::Step wide_step;
    step.mean = wide_step.mean = {mean};
    step.variance = wide_step.variance = {1};
    step.count = wide_step.count = 256;
    for (int i = 0; i < 3000; ++i) {
      layer.commit(step);
      wide.commit(wide_step);
    }
    const double left = mean - double(layer.moving_mean()[0]);
    const float at = static_cast<float>(mean);
    const double half = (double(std::nextafter(at, 2 * at)) - double(at)) / 2;
    CHECK(left > 0.9 * half / 0.01);
    CHECK(left <= std::ldexp(mean, -24) / 0.01);
    CHECK(wide.moving_mean()[0] == Approx(mean).epsilon(1e-12));  // 0.99^3000 = 8e-14
    const std::vector<double> means{mean}, variances{1};
    layer.set_population(means, variances);
    CHECK(layer.moving_mean()[0] == at);
  }
}

// ---------------------------------------------------------------------------------------------- ranges of arguments

TEST_CASE("epsilon 0 is taken and needs variances above 0", "[batch_norm]") {
  BatchNormLayer<double> layer({-1, 2}, {.epsilon = 0});
  const Tensor<double> x = rows<double>();
  const auto step = layer.train(x.view());
  CHECK(step.output(0, 0) == Approx(-2 / std::sqrt(8 / 3.0)).epsilon(1e-14));
  layer.commit(step);
  CHECK(layer(x.view())(0, 0) == Approx((1 - 0.03) / std::sqrt(0.99 + 0.01 * 8 / 3)).epsilon(1e-13));

  Tensor<double> constant = rows<double>();
  for (Index i = 0; i < 3; ++i) constant(i, 1) = 4;
  CHECK_THROWS_WITH(layer.train(std::as_const(constant).view()),
                    ContainsSubstring("variance of the batch") && ContainsSubstring("channel 1"));
  layer.variable("moving_variance")[0] = 0;
  CHECK_THROWS_WITH(layer(x.view()), ContainsSubstring("moving variance") && ContainsSubstring("channel 0"));

  BatchNormalization<double> bijector(2, {.epsilon = 0});
  Eigen::MatrixXd y(3, 2);
  y << 1, 2, 3, 7, 5, 9;
  const auto [white, log_det, statistics] = bijector.inverse(y, Statistics::minibatch);
  CHECK(white(0, 1) == Approx(-4 / std::sqrt(26 / 3.0)).epsilon(1e-14));
  CHECK(log_det[0] == Approx(-0.5 * std::log(8 / 3.0 * 26 / 3.0)).epsilon(1e-14));
  CHECK((bijector.forward(white, statistics).value - y).cwiseAbs().maxCoeff() < 1e-14);
  CHECK((bijector.inverse(y).value - y).cwiseAbs().maxCoeff() < 1e-14);  // the start: mean 0, variance 1
  CHECK_THROWS_WITH(bijector.inverse(y.topRows(1), Statistics::minibatch), ContainsSubstring("channel 0"));
  CHECK(bijector.inverse(y.topRows(0), Statistics::minibatch).value.rows() == 0);
  const std::vector<double> means{0, 0}, flat{1, 0};
  bijector.set_population(means, flat);
  CHECK_THROWS_WITH(bijector.inverse(y), ContainsSubstring("moving variance") && ContainsSubstring("channel 1"));
  CHECK_THROWS_WITH(bijector.forward(y), ContainsSubstring("channel 1"));
  CHECK_THROWS_WITH(bijector.frozen(), ContainsSubstring("channel 1"));

  for (const double bad : {-1e-9, not_a_number, std::numeric_limits<double>::infinity()})
    CHECK_THROWS_AS(BatchNormLayer<double>({.epsilon = bad}), DomainError);
  CHECK_THROWS_WITH(BatchNormLayer<double>({.epsilon = -1e-9}), ContainsSubstring("-1e-09"));
}

TEST_CASE("bounds of the renorm clipping that cross are refused", "[batch_norm]") {
  CHECK_THROWS_WITH(BatchNormLayer<double>({.renorm = Renorm{.rmin = 2, .rmax = 1.5}}),
                    ContainsSubstring("rmin <= rmax") && ContainsSubstring("2 and 1.5"));
  CHECK_NOTHROW(BatchNormLayer<double>({.renorm = Renorm{.rmin = 1.5, .rmax = 1.5}}));
  CHECK_THROWS_AS(BatchNormalization<double>(2, {.renorm = Renorm{.rmin = 2, .rmax = 1.5}}), DomainError);
  // A schedule has rmin = 1 / rmax.
  CHECK_THROWS_WITH(
      BatchNormLayer<double>({.renorm = Renorm{.rmax = 0.5, .dmax = 1, .open_rmax = 10, .open_dmax = 10}}),
      ContainsSubstring("above it, got 0.5"));
}

TEST_CASE("renorm in a layer that is not trainable: graph mode and eager mode of TensorFlow", "[batch_norm]") {
  const Tensor<double> x = rows<double>();
  const auto after_one_step = [&](NotTrainable policy, Renorm::Generation generation) {
    BatchNormLayer<double> layer(
        {-1, 2}, {.renorm = Renorm{.generation = generation}, .trainable = false, .not_trainable = policy});
    layer.commit(layer.train(x.view()));
    CHECK(layer.moving_mean() == of<double>(0, 0));
    CHECK(layer.moving_variance() == of<double>(1, 1));
    return layer;
  };
  const auto graph = after_one_step(NotTrainable::v1, Renorm::Generation::later);
  CHECK(graph.variable("renorm_mean") == of<double>(0, 0));
  CHECK(graph.variable("renorm_stddev") == of<double>(1, 1));
  const auto eager = after_one_step(NotTrainable::v1_eager, Renorm::Generation::later);
  CHECK(eager.variable("renorm_mean")[0] == Approx(0.03).epsilon(1e-14));
  CHECK(eager.variable("renorm_stddev")[1] == Approx(0.99 + 0.01 * std::sqrt(26 / 3.0 + 1e-3)).epsilon(1e-14));
  const auto first = after_one_step(NotTrainable::v1_eager, Renorm::Generation::first);
  CHECK(first.variable("renorm_mean")[0] == Approx(0.03).epsilon(1e-14));
  CHECK(first.variable("renorm_mean_weight")[0] == Approx(0.01).epsilon(1e-14));

  // Files keep the policy.
  const Description d = eager.describe();
  CHECK(d.text("trainable") == "v1_eager");
  CHECK(BatchNormLayer<double>(d).options().not_trainable == NotTrainable::v1_eager);
  // Training uses the batch, as in both modes: gamma and beta do not move, the output is not that of inference.
  CHECK_FALSE(eager.train(x.view()).inference);
}

// ------------------------------------------------------------------------------------------------ functions as options

namespace {

/// Counts 1, 2, 3, ... times w^2: no penalty of l1 and l2.
Regularizer weighted_square(std::string name) {
  return Regularizer::custom(std::move(name), [](std::span<const double> w, std::span<double> gradient) {
    double sum = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      sum += static_cast<double>(i + 1) * w[i] * w[i];
      gradient[i] = 2 * static_cast<double>(i + 1) * w[i];
    }
    return sum;
  });
}
Constraint at_most(double bound) {
  return Constraint::custom("at_most", [bound](std::span<const Index>, std::span<double> w) {
    for (double& v : w) v = std::min(v, bound);
  });
}

}  // namespace

TEMPLATE_TEST_CASE("initializers, regularizers and constraints may be functions", "[batch_norm]", float, double) {
  using T = TestType;
  BatchNormLayerOptions options{.axis = {1, 2}};
  options.gamma_initializer = Initializer::custom([](std::span<const Index> shape, std::span<double> values) {
    CHECK(std::vector<Index>(shape.begin(), shape.end()) == std::vector<Index>{1, 2, 3});
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1 + 0.25 * static_cast<double>(i);
  });
  options.beta_regularizer = weighted_square("weighted_square");
  options.beta_regularizer.l2 = 0.5;
  options.gamma_constraint = at_most(2);
  BatchNormLayer<T> layer({-1, 2, 3}, options);
  CHECK(layer.gamma() == std::vector<double>{1, 1.25, 1.5, 1.75, 2, 2.25});
  for (Index i = 0; i < 6; ++i) layer.variable("beta")[i] = static_cast<T>(i);
  // sum (i + 1) i^2 + sum i^2 / 2 for i = 0 .. 5
  CHECK(layer.regularization_loss() == Approx(280 + 27.5).epsilon(1e-12));
  CHECK(layer.regularization_gradients().beta[5] == Approx(2 * 6 * 5 + 5).epsilon(1e-12));
  layer.apply_constraints();
  CHECK(layer.gamma() == std::vector<double>{1, 1.25, 1.5, 1.75, 2, 2});
  options.beta_initializer.kind = Initializer::Kind::function;
  CHECK_THROWS_WITH(BatchNormLayer<T>({-1, 2, 3}, options), ContainsSubstring("no function"));
}

TEST_CASE("training with a regularizer and a constraint of one's own", "[batch_norm]") {
  const auto model = [] {
    BatchNormLayerOptions options{.scale = false};
    options.beta_regularizer = Regularizer::custom("pull", [](std::span<const double> w, std::span<double> gradient) {
      double sum = 0;
      for (std::size_t i = 0; i < w.size(); ++i) {
        sum += 0.5 * (w[i] - 3) * (w[i] - 3);
        gradient[i] = w[i] - 3;
      }
      return sum;
    });
    options.beta_regularizer.l2 = 1;
    options.beta_constraint = Constraint::custom(
        "first_at_most_half", [](std::span<const Index>, std::span<double> w) { w[0] = std::min(w[0], 0.5); });
    return TransformedDistribution<double>(MultivariateNormalDiag<double>(2),
                                           BatchNormalization<double>({2}, BatchNormLayer<double>(options)));
  };
  Eigen::MatrixXd y(64, 2);
  Engine(5).next_call().normal(0, 64, 2, y.data(), 64);
  // The base follows beta, so that the penalties alone decide: 2 beta + (beta - 3) = 0 at 1.
  std::vector<double> loss;
  for (const int threads : {1, 2}) {
    auto flow = model();
    Execution execution({.threads = threads, .all_always = true});
    const FitReport report =
        fit(flow, y,
            {.epochs = 150, .batch_size = 64, .learning_rate = 0.05, .validation_fraction = 0, .execution = execution});
    const auto& bijector = dynamic_cast<const BatchNormalization<double>&>(flow.bijector());
    CHECK(bijector.beta()[0] == 0.5);
    CHECK(bijector.beta()[1] == Approx(1).margin(0.01));
    loss.push_back(report.train_loss.back());
  }
  CHECK(loss[0] == loss[1]);
}

TEST_CASE("a file keeps the name of a function, and what is loaded says so when it is asked for it", "[batch_norm]") {
  BatchNormLayerOptions options;
  options.beta_regularizer = weighted_square("weighted_square");
  options.gamma_constraint = at_most(2);
  BatchNormalization<double> made({2}, BatchNormLayer<double>(options));
  BatchNormLayer<double> changed = made.batchnorm();
  changed.variable("beta")[1] = 0.5;
  changed.variable("gamma")[0] = 1.5;
  made.set_batchnorm(changed);

  const Poly<Bijector<float>> cast_model = cast<float>(static_cast<const Bijector<double>&>(made));
  CHECK(cast_model->describe() == made.describe());
  Poly<Bijector<double>> loaded = cast<double>(static_cast<const Bijector<float>&>(*cast_model));
  Eigen::MatrixXd y(2, 2);
  y << 0.25, 1, -3, 2;
  CHECK(loaded->inverse(y).value == made.inverse(y).value);  // it evaluates

  BatchNormLayer<double> layer = dynamic_cast<const BatchNormalization<double>&>(*loaded).batchnorm();
  CHECK_THROWS_WITH(layer.regularization_loss(),
                    ContainsSubstring("regularizer 'weighted_square'") && ContainsSubstring("copy_state"));
  CHECK_THROWS_WITH(layer.apply_constraints(), ContainsSubstring("constraint 'at_most'"));
  TransformedDistribution<double> flow(Poly<Distribution<double>>(MultivariateNormalDiag<double>(2)), loaded);
  CHECK_THROWS_AS(fit(flow, y, {.epochs = 1, .validation_fraction = 0}), NotImplemented);

  // The way out that the text names.
  BatchNormalization<double> again({2}, BatchNormLayer<double>(options));
  copy_state<double, double>(*loaded, again);
  CHECK(again.batchnorm().regularization_loss() == Approx(2 * 0.25).epsilon(1e-14));
  CHECK(again.inverse(y).value == made.inverse(y).value);
}
