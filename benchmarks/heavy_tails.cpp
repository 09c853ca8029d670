// Multivariate Student t with 2 degrees of freedom in 19 dimensions, RealNVP with 32 couplings, 5000 steps: where
// training is known to end in NaN. Prints skipped steps and held-out log-likelihood beside a fitted Gaussian and the
// truth, in float and double.
#include <cmath>
#include <cstdio>

#include <pushforward/pushforward.hpp>

namespace pf = pushforward;

namespace {

template <pf::Scalar T>
double run(const Eigen::MatrixXd& train, const Eigen::MatrixXd& test, double gaussian, double truth, int threads) {
  const pf::Matrix<T> y = train.cast<T>(), held_out = test.cast<T>();
  pf::Execution execution({.threads = threads});
  auto flow = pf::real_nvp<T>(19, {.layers = 32,
                                   .hidden = 64,
                                   .blocks = 1,
                                   .activation = pf::Activation::tanh,
                                   .mixing = pf::Mixing::none,
                                   .seed = 1});
  // 100000 rows in batches of 200 are 500 steps an epoch. (With a fifth of the rows and five times the epochs the flow
  // learns the tails of the sample, and where it ends depends on every rounding.)
  pf::FitOptions<T> options{.epochs = 10,
                            .batch_size = 200,
                            .learning_rate = 1e-3,
                            .schedule = pf::CosineSchedule{},
                            .validation_fraction = 0,
                            .seed = 1,
                            .execution = execution};
  const pf::FitReport report = pf::fit(flow, y, options);
  bool finite = true;
  for (const auto& slot : pf::list_state(static_cast<const pf::Component<T>&>(flow)))
    for (const T v : slot.tensor->values()) finite = finite && std::isfinite(v);
  const double score = flow.log_prob(held_out, execution).mean();
  std::printf("%s: %td steps, %td skipped, parameters %s, held-out %.3f, %.0f%% of the gap closed, %.0f s\n",
              sizeof(T) == 4 ? "float " : "double", report.steps, report.skipped_steps, finite ? "finite" : "NOT FINITE",
              score, 100 * (score - gaussian) / (truth - gaussian), report.seconds);
  return score;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  constexpr pf::Index dim = 19;
  pf::Engine engine(19);
  const pf::MultivariateStudentT<double> truth(2.0, Eigen::VectorXd::Zero(dim).eval(),
                                               Eigen::MatrixXd::Identity(dim, dim).eval());
  const Eigen::MatrixXd train = truth.sample(100000, engine), test = truth.sample(20000, engine);
  const auto fitted = pf::GaussianBaseline::fit(train);
  const double gaussian = fitted.log_prob(test).mean(), best = truth.log_prob(test).mean();
  std::printf("held-out log-likelihood: fitted Gaussian %.3f, truth %.3f\n", gaussian, best);
  const double in_float = run<float>(train, test, gaussian, best, threads);
  const double in_double = run<double>(train, test, gaussian, best, threads);
  std::printf("float - double: %.4f nats\n", in_float - in_double);
}
