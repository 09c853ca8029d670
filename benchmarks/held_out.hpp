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

/// The folder that holds `file`, or the end of the program with a text that says what is missing.
inline std::filesystem::path folder(const char* program, const std::filesystem::path& path, const char* file) {
  if (std::filesystem::exists(path / file)) return path;
  std::fprintf(stderr, "%s: no %s in %s; name the folder of the data set\n", program, file, path.c_str());
  std::exit(1);
}

}  // namespace held_out
