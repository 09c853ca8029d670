// Variational inference by reverse KL: a flow learns the posterior of a two-parameter model from its log density,
// written in the library's operations; no gradient code.
#include <cmath>
#include <cstdio>

#include <pushforward/pushforward.hpp>

namespace pf = pushforward;

int main() {
  // Parameters (a, b) with prior N(0, 2^2) and N(0, 1); b is seen through exp: the banana-shaped log density
  // -a^2 / 8 - b^2 / 2 shifted along a parabola. Its normaliser and moments are known.
  const double log_normaliser = std::log(2 * M_PI * 2.0);
  const pf::Target<double> posterior = [](pf::Pass<double>&, pf::Var<double> theta) {
    const pf::Var<double> a = columns(theta, 0, 1), b = columns(theta, 1, 1);
    const pf::Var<double> bent = b - 0.5 * square(a) + 2.0;
    return row_sum(square(a) * (-1.0 / 8.0) + square(bent) * (-0.5));
  };

  auto flow = pf::iaf<double>(2, {.layers = 4, .hidden = 32, .activation = pf::Activation::tanh});
  pf::fit_reverse_kl(flow, posterior,
                     {.epochs = 15, .batch_size = 512, .learning_rate = 5e-3, .schedule = pf::CosineSchedule{}});

  // Importance weights check the answer: their mean is the ratio of the normalisers.
  pf::Engine engine(11);
  const auto [theta, log_q] = flow.sample_and_log_prob(100000, engine);
  const Eigen::ArrayXd a = theta.col(0).array(), b = theta.col(1).array();
  const Eigen::ArrayXd log_p = -a.square() / 8 - (b - 0.5 * a.square() + 2).square() / 2 - log_normaliser;
  const Eigen::ArrayXd weight = (log_p - log_q.array()).exp();
  const double effective = weight.sum() * weight.sum() / weight.square().sum() / 100000;
  std::printf("KL(q || p) %.4f nats, mean importance weight %.4f, effective sample size %.0f%%\n",
              (log_q.array() - log_p).mean(), weight.mean(), 100 * effective);
  std::printf("mean of a %+.3f (0), variance of a %.3f (4), mean of b %+.3f (0)\n", a.mean(),
              (a - a.mean()).square().mean(), b.mean());
  return effective > 0.8 && std::abs(weight.mean() - 1) < 0.05 ? 0 : 1;
}
