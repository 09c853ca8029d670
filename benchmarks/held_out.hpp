#pragma once

// What the programs share that score flows on rows they were not fitted to.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <pushforward/pushforward.hpp>
#include <string>

namespace held_out {

namespace pf = pushforward;
using Index = pf::Index;

struct Split {
  Eigen::MatrixXd train, validation, test;
};

/// All parts in units of the training part's mean and standard deviation.
inline void standardize(Split& split) {
  const Eigen::RowVectorXd mean = split.train.colwise().mean();
  const Eigen::RowVectorXd deviation =
      ((split.train.rowwise() - mean).array().square().colwise().sum() / static_cast<double>(split.train.rows()))
          .sqrt();
  for (Eigen::MatrixXd* m : {&split.train, &split.validation, &split.test})
    *m = (m->rowwise() - mean).array().rowwise() / deviation.array();
}

/// Mean log-likelihood, and twice its standard error.
struct Score {
  double mean, two_errors;
};
inline Score score(const Eigen::VectorXd& log_prob) {
  const double n = static_cast<double>(log_prob.size()), mean = log_prob.mean();
  return {mean, 2 * std::sqrt((log_prob.array() - mean).square().sum() / (n - 1) / n)};
}

using Builder = pf::TransformedDistribution<float> (*)(Index, pf::FlowOptions);

/// A model and how it is fitted; the seed is put in by `fit`.
struct Model {
  const char* name;
  Builder build;
  pf::FlowOptions flow;
  pf::FitOptions<float> options;
};

struct Result {
  Eigen::VectorXd log_prob;  // of the test rows
  pf::FitReport report;
};

/// Fits to `train`, chooses the best parameters by `validation` (by a share of the training rows if that is empty).
inline Result fit(const Model& model, const Eigen::MatrixXf& train, const Eigen::MatrixXf& validation,
                  const Eigen::MatrixXf& test, std::uint64_t seed, pf::Execution& execution) {
  pf::FlowOptions flow_options = model.flow;
  flow_options.seed = seed;
  pf::TransformedDistribution<float> flow = model.build(train.cols(), flow_options);
  pf::FitOptions<float> options = model.options;
  if (validation.rows() > 0) options.validation = validation;
  options.seed = seed;
  options.execution = execution;
  Result result;
  result.report = pf::fit(flow, train, options);
  result.log_prob = flow.log_prob(test, execution);
  return result;
}

inline void print_heads() {
  std::printf("%-47s %4s %18s %9s %9s %8s\n", "model, data", "seed", "test log-lik +-2se", "valid.", "epoch",
              "seconds");
}

/// A line for each of seeds 1, 2, ... and one for their mean, with `note` behind.
inline void fit_seeds(const Model& model, const std::string& data, const Eigen::MatrixXf& train,
                      const Eigen::MatrixXf& validation, const Eigen::MatrixXf& test, int seeds,
                      pf::Execution& execution, const std::string& note) {
  double sum = 0;
  for (int seed = 1; seed <= seeds; ++seed) {
    const Result r = fit(model, train, validation, test, static_cast<std::uint64_t>(seed), execution);
    const Score s = score(r.log_prob);
    std::printf("%-40s %-6s %4d %11.3f +- %.3f %9.3f %9td %8.1f\n", model.name, data.c_str(), seed, s.mean,
                s.two_errors, r.report.validation.mean, r.report.best_epoch, r.report.seconds);
    std::fflush(stdout);
    sum += s.mean;
  }
  std::printf("%-40s %-6s mean %11.3f%s\n", model.name, data.c_str(), sum / seeds, note.c_str());
}

/// The folder that holds `file`, or the end of the program with a text that says what is missing.
inline std::filesystem::path folder(const char* program, const std::filesystem::path& path, const char* file) {
  if (std::filesystem::exists(path / file)) return path;
  std::fprintf(stderr, "%s: no %s in %s; name the folder of the data set\n", program, file, path.c_str());
  std::exit(1);
}

}  // namespace held_out
