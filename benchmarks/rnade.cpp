// Held-out log-likelihood by the protocol of RNADE (Uria, Murray, Larochelle 2013, Table 2): ten folds, each once the
// test set; the fold after it chooses the best parameters, the other eight train and give mean and deviation of the
// columns, in whose units scores are. Wine is rounded and repeats rows, where a flow can put spikes: its second line
// scores rows with uniform noise of the rounding step, on which spikes win nothing.
//
//   rnade <folder of data sets> [seed] [threads] [part of a model's name]
#include <algorithm>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "benchmarks/held_out.hpp"

namespace pf = pushforward;
using namespace held_out;

namespace {

/// Uniform noise between a value and the next larger one that the column's rounding knows.
void dequantize(Eigen::MatrixXd& values, std::uint64_t seed) {
  pf::Engine engine(seed);
  const Eigen::MatrixXd noise = pf::Uniform<double>(values.cols()).sample(values.rows(), engine);
  for (Index c = 0; c < values.cols(); ++c) {
    std::vector<double> sorted(values.col(c).begin(), values.col(c).end());
    std::sort(sorted.begin(), sorted.end());
    double step = std::numeric_limits<double>::infinity();
    for (std::size_t i = 1; i < sorted.size(); ++i)
      if (sorted[i] - sorted[i - 1] > 1e-9 * std::abs(sorted[i])) step = std::min(step, sorted[i] - sorted[i - 1]);
    values.col(c) += step * noise.col(c);
  }
}

struct Data {
  const char* file;
  bool noise;
  const char* published;
};

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path folder =
      held_out::folder("rnade", argc > 1 ? argv[1] : "../shared/data/density", "parkinsons15.csv");
  const auto seed = static_cast<std::uint64_t>(argc > 2 ? std::atoi(argv[2]) : 1);
  const int threads = argc > 3 ? std::atoi(argv[3]) : 2;
  const std::string part = argc > 4 ? argv[4] : "";

  pf::FlowOptions flow{
      .layers = 5, .hidden = 64, .blocks = 1, .residual = true, .dropout = 0.2, .mixing = pf::Mixing::lu_linear};
  const pf::FitOptions<float> cosine{
      .epochs = 120, .batch_size = 128, .learning_rate = 1e-3, .schedule = pf::CosineSchedule{}, .patience = 40};
  std::vector<Model> models{{"RQ-NSF (C)-5, LU linear, residual 64x1", &pf::nsf<float>, flow, cosine},
                            {"RQ-NSF (AR)-5, LU linear, MADE 64x1", &pf::nsf_ar<float>, flow, cosine},
                            {"MAF-5, LU linear, residual MADE 64x1", &pf::maf<float>, flow, cosine}};
  std::erase_if(models, [&](const Model& m) { return std::string(m.name).find(part) == std::string::npos; });

  pf::Execution execution({.threads = threads});
  for (const Data& data :
       {Data{"parkinsons15.csv", false, "RNADE-MoG -0.90, Deep NADE -0.90"},
        Data{"wine_white.csv", false, "RNADE-MoG -10.23, Deep NADE -9.67"}, Data{"wine_white.csv", true, "none"}}) {
    const pf::Table table = pf::read_csv((folder / data.file).string());
    Eigen::MatrixXd values = table.values.rightCols(table.values.cols() - 1);
    if (data.noise) dequantize(values, seed);
    std::printf("%s%s: %td rows, %td columns; published: %s\n", data.file, data.noise ? " with noise" : "",
                values.rows(), values.cols(), data.published);
    for (const Model& m : models) {
      std::vector<double> folds;
      double validation = 0, seconds = 0;
      for (int test = 0; test < 10; ++test) {
        std::vector<Index> rows[3];
        for (Index i = 0; i < table.values.rows(); ++i) {
          const int fold = static_cast<int>(table.values(i, 0));
          rows[fold == test ? 2 : fold == (test + 1) % 10 ? 1 : 0].push_back(i);
        }
        const auto columns = Eigen::seqN(0, values.cols());
        Split split{values(rows[0], columns), values(rows[1], columns), values(rows[2], columns)};
        standardize(split);
        const Result r = fit(m, split.train.cast<float>(), split.validation.cast<float>(), split.test.cast<float>(),
                             seed, execution);
        folds.push_back(r.log_prob.mean());
        validation += r.report.validation.mean / 10;
        seconds += r.report.seconds;
      }
      const Score s = score(Eigen::Map<const Eigen::VectorXd>(folds.data(), 10));
      std::printf("  %-40s %8.3f +- %.3f (validation %.3f), %.0f s\n", m.name, s.mean, s.two_errors, validation,
                  seconds);
      std::fflush(stdout);
    }
  }
}
