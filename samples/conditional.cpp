// Conditional density p(power | weather): a flow of one column with four columns of context.
#include <cmath>
#include <cstdio>

#include <pushforward/pushforward.hpp>

namespace pf = pushforward;

int main(int argc, char** argv) {
  const pf::Table table = pf::read_csv(argc > 1 ? argv[1] : "samples/data/power_plant.csv");
  const auto pick = [&](double test) {
    std::vector<Eigen::Index> rows;
    for (Eigen::Index i = 0; i < table.values.rows(); ++i)
      if (table.values(i, 0) == test) rows.push_back(i);
    return Eigen::MatrixXd(table.values(rows, Eigen::seqN(0, table.values.cols())));
  };
  const Eigen::MatrixXd train = pick(0), test = pick(1);
  const Eigen::MatrixXd weather = train.middleCols(1, 4), power = train.col(5);

  pf::Execution threads({.threads = 2});
  const pf::FitOptions<double> options{.epochs = 60,
                                       .batch_size = 128,
                                       .learning_rate = 3e-3,
                                       .schedule = pf::CosineSchedule{},
                                       .context = weather,
                                       .execution = threads};
  // The layers of a MAF on a base of another kind: the power has outliers, so a Student t whose tails are learned.
  const auto layers = pf::maf<double>(1, {.layers = 2, .hidden = 64, .residual = true, .context_dim = 4});
  pf::TransformedDistribution<double> flow(pf::StudentT<double>(1), layers.copy_bijector());
  // Both the output and the context are standardised inside the model: log_prob is that of the megawatts.
  const auto [model, report] = pf::prepare_and_fit(std::move(flow), power, {}, options);
  const Eigen::VectorXd score = model.log_prob(test.col(5), test.middleCols(1, 4), threads);
  const double n = static_cast<double>(score.size());
  const double error = std::sqrt((score.array() - score.mean()).square().sum() / (n - 1) / n);
  std::printf("test rows %.0f, mean log p(power | weather) %.3f +- %.3f nats (%.0f s)\n", n, score.mean(), error,
              report.seconds);
  std::printf("published for these splits: MC dropout -2.808 +- 0.009\n");

  pf::Engine engine(3);
  const Eigen::RowVectorXd hot = (Eigen::RowVectorXd(4) << 30, 70, 1010, 50).finished();
  const Eigen::RowVectorXd cold = (Eigen::RowVectorXd(4) << 5, 40, 1020, 80).finished();
  std::printf("expected power at 30 degrees %.0f MW, at 5 degrees %.0f MW\n", model.sample(4000, engine, hot).mean(),
              model.sample(4000, engine, cold).mean());
  return score.mean() > -2.85 ? 0 : 1;
}
