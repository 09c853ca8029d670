// Held-out log-likelihood on the published test set of MINIBOONE, from the 4,807 training rows that can be had (the
// published figures have 29,556): of them a tenth chooses the best parameters, the test set is left alone. The
// published learning curve of RQ-NSF (C) gives -15.5 for 4,926 rows.
//
//   miniboone <folder with test.npy, val.npy, train_first1523.npy> [seeds] [threads] [part of a model's name]
#include <cstdio>
#include <string>
#include <vector>

#include "benchmarks/held_out.hpp"

namespace pf = pushforward;
using namespace held_out;

int main(int argc, char** argv) {
  const std::filesystem::path data =
      folder("miniboone", argc > 1 ? argv[1] : "../shared/data/miniboone", "train_first1523.npy");
  const int seeds = argc > 2 ? std::atoi(argv[2]) : 3;
  const int threads = argc > 3 ? std::atoi(argv[3]) : 2;
  const std::string part = argc > 4 ? argv[4] : "";
  const auto read = [&](const char* name) { return Eigen::MatrixXf(pf::read_npy(data / name).matrix().cast<float>()); };
  const Eigen::MatrixXf first = read("train_first1523.npy"), second = read("val.npy"), test = read("test.npy");
  Eigen::MatrixXf train(first.rows() + second.rows(), first.cols());
  train << first, second;

  const pf::FlowOptions nsf{.layers = 10,
                            .hidden = 32,
                            .blocks = 1,
                            .residual = true,
                            .dropout = 0.2,
                            .mixing = pf::Mixing::lu_linear,
                            .spline = {.bins = 4}};
  const pf::FlowOptions maf{
      .layers = 5, .hidden = 64, .blocks = 1, .residual = true, .dropout = 0.2, .mixing = pf::Mixing::lu_linear};
  const pf::FlowOptions paper{
      .layers = 5, .hidden = 64, .blocks = 1, .dropout = 0.2, .mixing = pf::Mixing::reverse, .batch_norm = true};
  const pf::FitOptions<float> cosine{.epochs = 400,
                                     .batch_size = 128,
                                     .learning_rate = 3e-4,
                                     .schedule = pf::CosineSchedule{},
                                     .validation_fraction = 0.1,
                                     .patience = 60};
  std::vector<Model> models{{"RQ-NSF (C)-10, LU linear, residual 32x1", &pf::nsf<float>, nsf, cosine},
                            {"RQ-NSF (AR)-10, LU linear, MADE 32x1", &pf::nsf_ar<float>, nsf, cosine},
                            {"MAF-5, LU linear, residual MADE 64x1", &pf::maf<float>, maf, cosine},
                            {"MAF-5, batch norm, reversed, MADE 64x2", &pf::maf<float>, paper, cosine}};
  std::erase_if(models, [&](const Model& m) { return std::string(m.name).find(part) == std::string::npos; });

  std::printf("%td training rows of %td columns, a tenth of them for choosing; %td test rows\n", train.rows(),
              train.cols(), test.rows());
  print_heads();
  pf::Execution execution({.threads = threads});
  for (const Model& m : models)
    fit_seeds(m, "", train, {}, test, seeds, execution, "   (published for RQ-NSF (C) from 4,926 rows: -15.5)");
}
