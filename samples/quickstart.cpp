// Fits a masked autoregressive flow to a table, saves it, scores the table with it and samples from it.
#include <iostream>

#include <pushforward/pushforward.hpp>

namespace pf = pushforward;

int main(int argc, char** argv) {
  const pf::Table table = pf::read_csv(argc > 1 ? argv[1] : "samples/data/htru2.csv", {.drop = {"fold"}});
  const Eigen::MatrixXd& y = table.values;  // a row is one event, a column one feature

  pf::Execution threads({.threads = 2});
  const auto [flow, report] = pf::prepare_and_fit(pf::maf<double>(y.cols(), {.layers = 3, .batch_norm = true}), y, {},
                                                  {.epochs = 5, .batch_size = 256, .execution = threads});
  std::cout << pf::to_text(report) << '\n';

  pf::save("quickstart.safetensors", flow, {.columns = table.names});
  const auto model = pf::load<double>("quickstart.safetensors");
  pf::Engine engine(42);
  std::cout << "mean log-likelihood: " << model.distribution->log_prob(y, threads).mean() << " nats\n"
            << "three samples:\n" << model.distribution->sample(3, engine) << '\n';
}
