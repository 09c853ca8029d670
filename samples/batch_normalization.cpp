// The batch normalisation bijector in a TransformedDistribution: minibatch against running statistics.
//
// With the statistics of the minibatch, `inverse` makes each batch white, and `forward` with the statistics that it
// captured leads back exactly. With running statistics both directions are one frozen affine map, a density.
#include <cmath>
#include <cstdio>

#include <pushforward/pushforward.hpp>

namespace pf = pushforward;

int main() {
  pf::Engine engine(1);
  const pf::MultivariateNormalDiag<double> source(std::vector<double>{1, -3}, std::vector<double>{2, 3});
  const Eigen::MatrixXd y = source.sample(5000, engine);

  pf::TransformedDistribution<double> flow(pf::MultivariateNormalDiag<double>(2),
                                           pf::BatchNormalization<double>(2, {.epsilon = 1e-3, .momentum = 0.9}));

  const auto minibatch = flow.bijector().inverse(y, pf::Statistics::minibatch);
  const auto back = flow.bijector().forward(minibatch.value, minibatch.statistics);
  std::printf("minibatch statistics: mean of x %+.1e, log_det %.4f, round trip off by %.1e\n",
              minibatch.value.mean(), minibatch.log_det[0], (back.value - y).cwiseAbs().maxCoeff());

  const auto running = flow.bijector().inverse(y);
  std::printf("running statistics, before training: mean of x %+.4f, log_det %.4f (nothing has been learned yet)\n",
              running.value.mean(), running.log_det[0]);

  // Training commits the running averages and replaces them by the statistics of all rows at the end.
  pf::fit(flow, y, {.epochs = 30, .batch_size = 500, .learning_rate = 0.01, .validation_fraction = 0});
  const auto frozen = flow.bijector().inverse(y);
  const auto frozen_back = flow.bijector().forward(frozen.value);
  const double score = flow.log_prob(y).mean(), best = source.log_prob(y).mean();
  std::printf("running statistics, after training:  mean of x %+.1e, log_det %.4f, round trip off by %.1e\n",
              frozen.value.mean(), frozen.log_det[0], (frozen_back.value - y).cwiseAbs().maxCoeff());
  std::printf("mean log-likelihood %.4f nats, of the true density %.4f\n", score, best);

  const bool right = (back.value - y).cwiseAbs().maxCoeff() < 1e-12 &&
                     (frozen_back.value - y).cwiseAbs().maxCoeff() < 1e-12 && std::abs(score - best) < 0.01;
  return right ? 0 : 1;
}
