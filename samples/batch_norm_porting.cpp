// Three rows through every form of batch normalisation, as code that comes from another system would be written. The
// numbers are those that each system gives; docs/batch_normalization.md shows the functions beside their originals.
#include <cmath>
#include <cstdio>
#include <pushforward/ports/aesara.hpp>
#include <pushforward/ports/tf_layers.hpp>
#include <pushforward/ports/tf_nn.hpp>
#include <pushforward/pushforward.hpp>
#include <vector>

namespace pf = pushforward;

namespace {

bool right = true;
void expect(const char* what, double got, double expected) {
  const bool same = std::abs(got - expected) < 1e-8;
  std::printf("%-52s %14.10f %s\n", what, got, same ? "" : "WRONG");
  right = right && same;
}

const std::vector<double> rows{1, 2, 3, 7, 5, 9};  // (3, 2)
const std::vector<double> gamma{2, 0.5}, beta{0.1, -0.2};

pf::TensorView<const double> data() { return {rows.data(), {3, 2}}; }
pf::BatchNormLayer<double> prepared(pf::BatchNormLayer<double> layer) {
  layer.variable("gamma") = pf::Tensor<double>::of(gamma);
  layer.variable("beta") = pf::Tensor<double>::of(beta);
  return layer;
}

void bijector() {
  // batchnorm = tfp.bijectors.BatchNormalization(batchnorm_layer=layer, training=True)
  pf::BatchNormalization<double> bn({2}, prepared(pf::BatchNormLayer<double>({-1, 2}, {})));
  const Eigen::Matrix<double, 3, 2, Eigen::RowMajor> y{{1, 2}, {3, 7}, {5, 9}};
  const auto [x, log_det, statistics] = bn.inverse(y, pf::Statistics::minibatch);
  expect("TFP: inverse, training", x(0, 0), -2.349030593);
  expect("TFP: inverse_log_det_jacobian, training", log_det[0], -1.5704019050);
  expect("     and back with the same statistics", bn.forward(x, statistics).value(1, 1), 7);
  expect("     running statistics, training=False", bn.inverse(y).value(0, 0), 2 / std::sqrt(1.001) + 0.1);
  commit(bn, statistics);  // Keras moves its averages at the call of inverse
  expect("     moving_mean after the call", bn.moving_mean()[0], 0.03);
}

void keras() {
  // layer = tf.compat.v1.keras.layers.BatchNormalization(axis=-1)
  pf::BatchNormLayer<double> layer = prepared(pf::BatchNormLayer<double>({-1, 2}, {.axis = {-1}}));
  const auto step = layer.train(data());  // y = layer(x, training=True)
  expect("Keras: training", step.output[0], -2.349030593);
  layer.commit(step);  // the layer's updates
  expect("Keras: moving_mean", layer.moving_mean()[0], 0.03);
  expect("Keras: moving_variance", layer.moving_variance()[0], 1.0166666666667);
  const pf::Tensor<double> y = layer(data());  // layer(x, training=False)
  expect("Keras: inference", y[0], 2 * (1 - 0.03) / std::sqrt(1.0166666666667 + 0.001) + 0.1);
}

void keras_fused() {
  // The fused kernel of the same layer: Bessel's variance goes into the average.
  pf::BatchNormLayer<double> layer({-1, 2}, {.fusion = pf::Fusion::fused});
  layer.commit(layer.train(data()));
  expect("Keras, fused: moving_variance", layer.moving_variance()[0], 1.03);
}

void tf_layers() {
  // y = tf.layers.batch_normalization(x, training=True, name="bn"), with its UPDATE_OPS
  namespace tf_layers = pf::batch_norm::tf_layers;
  tf_layers::VariableStore<double> store;
  tf_layers::batch_normalization(data(), store, {.name = "bn"}, true);
  expect("tf.layers: moving_mean before the updates run", store.layer("bn").moving_mean()[0], 0);
  store.run_updates();
  expect("tf.layers: moving_mean after", store.layer("bn").moving_mean()[0], 0.03);
}

void tf_nn() {
  // mean, variance = tf.nn.moments(x, [0]); tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)
  namespace tf_nn = pf::batch_norm::tf_nn;
  const tf_nn::Moments<double> m = tf_nn::moments(data(), {0});
  const pf::Tensor<double> g = pf::Tensor<double>::of(gamma), b = pf::Tensor<double>::of(beta);
  const pf::Tensor<double> y = tf_nn::batch_normalization(data(), m.mean, m.variance, b, g, 1e-3);
  expect("tf.nn: batch_normalization", y[0], -2.349030593);
}

void aesara() {
  // out, mean, invstd, new_mean, new_var = batch_normalization_train(x, gamma, beta, 'per-activation', 1e-3, 0.1, M, V)
  namespace aesara = pf::batch_norm::aesara;
  const pf::Tensor<double> g = pf::Tensor<double>::of(gamma), b = pf::Tensor<double>::of(beta);
  const pf::Tensor<double> mean({2}, 0.0), variance({2}, 1.0);
  const auto t = aesara::batch_normalization_train(
      data(), g, b, {.epsilon = 1e-3, .running_mean = mean.view(), .running_var = variance.view()});
  expect("Aesara: out", t.out[0], -2.349030593);
  expect("Aesara: new running mean", (*t.running_mean)[0], 0.3);
  expect("Aesara: new running variance", (*t.running_var)[0], 1.3);
}

void nflows() {
  // transform = nflows.transforms.BatchNorm(features=2); x, log_det = transform(y)
  pf::BatchNormLayerOptions options = pf::batch_norm_convention("nflows", 0.1);  // momentum
  options.epsilon = 1e-5;
  options.gamma_map = pf::GammaMap::softplus;
  options.moving_variance_initializer = pf::Initializer::zeros();  // nflows' running_var before its first step
  pf::BatchNormLayer<double> layer({-1, 2}, options);
  const auto step = layer.train(data());
  expect("nflows: training", step.output[0], -2 / std::sqrt(4 + 1e-5));
  layer.commit(step);
  expect("nflows: running_var", layer.moving_variance()[0], 0.1 * 4);
  pf::BatchNormalization<double> transform({2}, layer);  // in a flow
  const Eigen::Matrix<double, 1, 2> y{{1, 2}};
  expect("nflows: transform(y), eval", transform.inverse(y).value(0, 0), (1 - 0.3) / std::sqrt(0.4 + 1e-5));
}

void pyro() {
  // bn = pyro.distributions.transforms.BatchNorm(2); x = bn.inv(y)
  pf::BatchNormLayerOptions options = pf::batch_norm_convention("pyro", 0.1);  // momentum
  options.epsilon = 1e-5;
  options.gamma_map = pf::GammaMap::relu_floor;
  pf::BatchNormLayer<double> layer({-1, 2}, options);
  for (const pf::Index c : {0, 1}) layer.variable("raw_gamma")[c] = 1;  // pyro's start: gamma is 1 + 1e-6
  const auto step = layer.train(data());
  expect("pyro: training", step.output[0], -2 * (1 + 1e-6) / std::sqrt(4 + 1e-5));
  layer.commit(step);
  expect("pyro: moving_variance", layer.moving_variance()[0], 0.9 + 0.1 * 4);
}

void normflows() {
  // flow = normflows.flows.BatchNorm(); x, log_det = flow(y)
  pf::BatchNormLayerOptions options{.epsilon = 1e-10, .center = false, .scale = false};
  options.bessel = true;
  const pf::BatchNormLayer<double> layer({-1, 2}, options);
  expect("normflows: forward", layer.train(data()).output[0], -1);
}

void maf() {
  // The statistics of the whole training set, as the code of Papamakarios et al. sets them before it evaluates.
  pf::TransformedDistribution<double> flow(pf::MultivariateNormalDiag<double>(2), pf::BatchNormalization<double>(2));
  const Eigen::Matrix<double, 3, 2> y{{1, 2}, {3, 7}, {5, 9}};
  pf::calibrate(flow, y);
  const auto& bn = dynamic_cast<const pf::BatchNormalization<double>&>(flow.bijector());
  expect("MAF: mean over the data set", bn.moving_mean()[0], 3);
  expect("MAF: variance over the data set", bn.moving_variance()[0], 8.0 / 3);
}

}  // namespace

int main() {
  bijector();
  keras();
  keras_fused();
  tf_layers();
  tf_nn();
  aesara();
  nflows();
  pyro();
  normflows();
  maf();
  return right ? 0 : 1;
}
