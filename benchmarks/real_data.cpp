// Held-out log-likelihood on real tables, by a protocol that others have published numbers for: fold 0 is the test set,
// fold 1 chooses the best parameters, folds 2-9 train; columns are standardised with the training rows and scores are
// in those units. Settings were chosen on fold 1 alone. Every seed is printed; their mean counts.
//
//   real_data <folder of data sets> [seeds] [threads] [part of a model's name]
#include <cmath>
#include <cstdio>
#include <string>
#include <tuple>
#include <vector>

#include "benchmarks/held_out.hpp"

namespace pf = pushforward;
using namespace held_out;

namespace {

Split read(const std::string& path) {
  const pf::Table table = pf::read_csv(path);
  std::vector<Index> rows[3];
  for (Index i = 0; i < table.values.rows(); ++i) {
    const double fold = table.values(i, 0);
    rows[fold == 0 ? 2 : fold == 1 ? 1 : 0].push_back(i);
  }
  const Index columns = table.values.cols() - 1;
  const auto pick = [&](const std::vector<Index>& r) {
    return Eigen::MatrixXd(table.values(r, Eigen::seqN(1, columns)));
  };
  Split split{pick(rows[0]), pick(rows[1]), pick(rows[2])};
  standardize(split);
  return split;
}

struct Case {
  Model model;
  const char* data;
  double reference;  // somebody else's library on the same folds, NaN for none
};

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path data = folder("real_data", argc > 1 ? argv[1] : "../shared/data/density", "magic.csv");
  const int seeds = argc > 2 ? std::atoi(argv[2]) : 3;
  const int threads = argc > 3 ? std::atoi(argv[3]) : 2;
  const std::string part = argc > 4 ? argv[4] : "";
  const pf::FlowOptions lu{.layers = 5, .hidden = 64, .blocks = 2, .residual = true, .mixing = pf::Mixing::lu_linear};
  const pf::FlowOptions paper{
      .layers = 5, .hidden = 64, .blocks = 1, .mixing = pf::Mixing::reverse, .batch_norm = true};
  const pf::FitOptions<float> cosine{
      .epochs = 160, .batch_size = 256, .learning_rate = 5e-4, .schedule = pf::CosineSchedule{}, .patience = 0};
  std::vector<Case> cases;
  for (const auto& [name, maf, nsf] : {std::tuple("magic", -5.384, -4.180), std::tuple("htru2", 4.451, 6.110)}) {
    cases.push_back({{"MAF-5, LU linear, residual MADE 64x2", &pf::maf<float>, lu, cosine}, name, maf});
    cases.push_back({{"MAF-5, batch norm, reversed, MADE 64x2", &pf::maf<float>, paper, cosine}, name, NAN});
    cases.push_back({{"RQ-NSF (C)-5, LU linear, residual 64x2", &pf::nsf<float>, lu, cosine}, name, nsf});
    cases.push_back({{"RQ-NSF (AR)-5, LU linear, res. MADE 64x2", &pf::nsf_ar<float>, lu, cosine}, name, NAN});
  }
  std::erase_if(cases, [&](const Case& c) { return std::string(c.model.name).find(part) == std::string::npos; });

  print_heads();
  pf::Execution execution({.threads = threads});
  for (const Case& c : cases) {
    const Split split = read((data / (std::string(c.data) + ".csv")).string());
    const Eigen::MatrixXf train = split.train.cast<float>(), validation = split.validation.cast<float>(),
                          test = split.test.cast<float>();
    char note[80] = "";
    if (!std::isnan(c.reference))
      std::snprintf(note, sizeof note, "   (reference, one run of another library: %.3f)", c.reference);
    fit_seeds(c.model, c.data, train, validation, test, seeds, execution, note);
  }
}
