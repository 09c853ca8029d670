// A training loop of TFP with batch normalisation, line by line: each comment is the line of Python, the code below it
// does the same. What Keras does behind a call, the update of the moving averages, is the last line here.
#include <cmath>
#include <cstdio>
#include <pushforward/pushforward.hpp>
#include <vector>

namespace pf = pushforward;

namespace {

/// Rows on a tape.
pf::Var<double> put(pf::Tape<double>& tape, const Eigen::MatrixXd& rows) {
  const pf::Var<double> y = tape.matrix(rows.cols(), false);
  for (pf::Index c = 0; c < rows.cols(); ++c) {
    std::fill_n(tape.value(y, c), tape.padded_rows(), 0.0);
    std::copy_n(rows.col(c).data(), rows.rows(), tape.value(y, c));
  }
  return y;
}

}  // namespace

int main() {
  constexpr pf::Index batch_size = 256;
  const pf::MultivariateNormalDiag<double> source(std::vector<double>{1, -3}, std::vector<double>{2, 0.5});
  pf::Engine engine(1);

  // layer = tf_keras.layers.BatchNormalization(momentum=0.95)
  pf::BatchNormLayer<double> layer({.momentum = 0.95});
  // bn = tfb.BatchNormalization(batchnorm_layer=layer, training=True)
  // flow = tfd.TransformedDistribution(tfd.MultivariateNormalDiag([0., 0.]), bn)
  pf::TransformedDistribution<double> flow(pf::MultivariateNormalDiag<double>(2),
                                           pf::BatchNormalization<double>({2}, layer));
  // optimizer = tf.keras.optimizers.Adam(0.02); variables = flow.trainable_variables
  std::vector<pf::Slot<double>> variables;
  std::vector<const pf::Tensor<double>*> tensors;
  for (const pf::Slot<double>& slot : pf::list_state(static_cast<pf::Component<double>&>(flow)))
    if (slot.kind == pf::StateKind::parameter) {
      variables.push_back(slot);
      tensors.push_back(slot.tensor);
    }
  pf::Gradients<double> gradients(tensors);
  pf::Adam<double> optimizer(variables);
  pf::Arena shared, own;  // memory of the tapes
  const std::vector<double> seed(batch_size, 1.0 / batch_size);

  // for step in range(500):
  for (int step = 0; step < 500; ++step) {
    // y = next(batches)
    const Eigen::MatrixXd y = source.sample(batch_size, engine);
    // with tf.GradientTape() as tape:
    pf::Tape<double> tape(pf::Tape<double>::Mode::record, {shared, own}, batch_size);
    gradients.set_zero();
    tape.set_gradients(&gradients);
    //   (training=True)
    pf::Proposals<double> proposals;
    pf::Pass<double> pass(tape, {.statistics = pf::Statistics::minibatch, .proposals = &proposals});
    //   loss = -tf.reduce_mean(flow.log_prob(y))
    const pf::Column<double> loss = -flow.log_prob(pass, put(tape, y));
    // gradients = tape.gradient(loss, variables)
    tape.backward(loss, seed.data());
    // optimizer.apply_gradients(zip(gradients, variables))
    optimizer.step(gradients, {.rate = 0.02});
    // (inside flow.log_prob, by Keras: the moving averages)
    pf::commit(flow, proposals);
  }

  // print(tf.reduce_mean(flow.log_prob(y))), with training=False
  const Eigen::MatrixXd y = source.sample(5000, engine);
  const double score = flow.log_prob(y).mean(), best = source.log_prob(y).mean();
  const auto& bn = dynamic_cast<const pf::BatchNormalization<double>&>(flow.bijector());
  std::printf("moving mean %+.3f %+.3f, moving variance %.3f %.3f\n", bn.moving_mean()[0], bn.moving_mean()[1],
              bn.moving_variance()[0], bn.moving_variance()[1]);
  std::printf("mean log-likelihood %.4f nats, of the true density %.4f\n", score, best);

  // Without gradients, for the statistics alone: x = bn.inverse(y), where Keras moves the averages.
  pf::BatchNormalization<double> statistics_only({2}, layer);
  for (int step = 0; step < 200; ++step) {
    const Eigen::MatrixXd rows = source.sample(batch_size, engine);
    const auto [x, log_det, statistics] = statistics_only.inverse(rows, pf::Statistics::minibatch);
    pf::commit(statistics_only, statistics);
  }
  std::printf("the same by inverse and commit: moving mean %+.3f %+.3f\n", statistics_only.moving_mean()[0],
              statistics_only.moving_mean()[1]);

  const bool right = std::abs(score - best) < 0.02 && std::abs(bn.moving_mean()[0] - 1) < 0.15 &&
                     std::abs(bn.moving_variance()[1] - 0.25) < 0.05 &&
                     std::abs(statistics_only.moving_mean()[1] + 3) < 0.05;
  return right ? 0 : 1;
}
