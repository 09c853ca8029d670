// Held-out log-likelihood on real tables, by a protocol that others have published numbers for: fold 0 is the test set,
// fold 1 chooses the best parameters, folds 2-9 train; columns are standardised with the training rows and scores are
// in those units. Settings were chosen on fold 1 alone. Every seed is printed; their mean counts.
//
//   real_data <folder of data sets> [seeds] [threads] [part of a model's name]
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <pushforward/pushforward.hpp>
#include <string>
#include <tuple>
#include <vector>

namespace pf = pushforward;

namespace {

struct Split {
  Eigen::MatrixXd train, validation, test;
};

Split read(const std::string& path) {
  const pf::Table table = pf::read_csv(path);
  std::vector<Eigen::Index> rows[3];
  for (Eigen::Index i = 0; i < table.values.rows(); ++i) {
    const double fold = table.values(i, 0);
    rows[fold == 0 ? 2 : fold == 1 ? 1 : 0].push_back(i);
  }
  const Eigen::Index columns = table.values.cols() - 1;
  const auto pick = [&](const std::vector<Eigen::Index>& r) {
    return Eigen::MatrixXd(table.values(r, Eigen::seqN(1, columns)));
  };
  Split split{pick(rows[0]), pick(rows[1]), pick(rows[2])};
  const Eigen::RowVectorXd mean = split.train.colwise().mean();
  const Eigen::RowVectorXd deviation =
      ((split.train.rowwise() - mean).array().square().colwise().sum() / static_cast<double>(split.train.rows()))
          .sqrt();
  for (Eigen::MatrixXd* m : {&split.train, &split.validation, &split.test})
    *m = (m->rowwise() - mean).array().rowwise() / deviation.array();
  return split;
}

using Builder = pf::TransformedDistribution<float> (*)(Eigen::Index, pf::FlowOptions);

struct Case {
  const char* name;
  const char* data;
  Builder build;
  double reference;  // somebody else's library on the same folds, NaN for none
  pf::FlowOptions flow;
  pf::FitOptions<float> fit;
};

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "../shared/data/density";
  const int seeds = argc > 2 ? std::atoi(argv[2]) : 3;
  const int threads = argc > 3 ? std::atoi(argv[3]) : 2;
  const std::string part = argc > 4 ? argv[4] : "";
  if (!std::filesystem::exists(folder / "magic.csv")) {
    std::fprintf(stderr, "real_data: no magic.csv in %s; name the folder of the data sets\n", folder.c_str());
    return 1;
  }
  const pf::FlowOptions lu{.layers = 5, .hidden = 64, .blocks = 2, .residual = true, .mixing = pf::Mixing::lu_linear};
  const pf::FlowOptions paper{
      .layers = 5, .hidden = 64, .blocks = 1, .mixing = pf::Mixing::reverse, .batch_norm = true};
  const pf::FitOptions<float> cosine{
      .epochs = 160, .batch_size = 256, .learning_rate = 5e-4, .schedule = pf::CosineSchedule{}, .patience = 0};
  const pf::FitOptions<float>& spline = cosine;
  std::vector<Case> cases;
  for (const auto& [data, maf, nsf] : {std::tuple("magic", -5.384, -4.180), std::tuple("htru2", 4.451, 6.110)}) {
    cases.push_back({"MAF-5, LU linear, residual MADE 64x2", data, &pf::maf<float>, maf, lu, cosine});
    cases.push_back({"MAF-5, batch norm, reversed, MADE 64x2", data, &pf::maf<float>, NAN, paper, cosine});
    cases.push_back({"RQ-NSF (C)-5, LU linear, residual 64x2", data, &pf::nsf<float>, nsf, lu, spline});
    cases.push_back({"RQ-NSF (AR)-5, LU linear, res. MADE 64x2", data, &pf::nsf_ar<float>, NAN, lu, spline});
  }
  std::erase_if(cases, [&](const Case& c) { return std::string(c.name).find(part) == std::string::npos; });

  std::printf("%-40s %-6s %4s %18s %9s %9s %8s\n", "model", "data", "seed", "test log-lik +-2se", "valid.", "epoch",
              "seconds");
  pf::Execution execution({.threads = threads});
  for (const Case& c : cases) {
    const Split split = read((folder / (std::string(c.data) + ".csv")).string());
    const Eigen::MatrixXf train = split.train.cast<float>(), validation = split.validation.cast<float>(),
                          test = split.test.cast<float>();
    double sum = 0;
    for (int seed = 1; seed <= seeds; ++seed) {
      pf::FlowOptions flow_options = c.flow;
      flow_options.seed = static_cast<std::uint64_t>(seed);
      auto flow = c.build(train.cols(), flow_options);
      pf::FitOptions<float> options = c.fit;
      options.validation = validation;
      options.seed = static_cast<std::uint64_t>(seed);
      options.execution = execution;
      const pf::FitReport report = pf::fit(flow, train, options);
      const Eigen::VectorXd score = flow.log_prob(test, execution);
      const double n = static_cast<double>(score.size()), mean = score.mean();
      const double error = 2 * std::sqrt((score.array() - mean).square().sum() / (n - 1) / n);
      std::printf("%-40s %-6s %4d %11.3f +- %.3f %9.3f %9td %8.1f\n", c.name, c.data, seed, mean, error,
                  report.validation.mean, report.best_epoch, report.seconds);
      std::fflush(stdout);
      sum += mean;
    }
    std::printf("%-40s %-6s mean %11.3f", c.name, c.data, sum / seeds);
    if (std::isnan(c.reference))
      std::printf("\n");
    else
      std::printf("   (reference, one run of another library: %.3f)\n", c.reference);
  }
}
