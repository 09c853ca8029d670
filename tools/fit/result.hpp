#pragma once

// What came of a fit, and how it is told.

#include <string>
#include <vector>

#include <pushforward/training/fit_best.hpp>

#include "tools/fit/input.hpp"
#include "tools/scores.hpp"

namespace tool::fitting {

struct Result {
  std::string precision;
  Index parameters = 0;
  pf::FitReport report;  // of flows
  std::vector<pf::CandidateReport> candidates;  // of auto
  std::string reason;
  std::string interrupted;  ///< empty: it was not
  pf::MeanLogLikelihood train, validation;
  Scores scores;  // of the validation rows, or of the training rows where there are none
};

/// What the Gaussian says of the same rows.
struct Baseline {
  pf::MeanLogLikelihood train, validation;
  Eigen::VectorXd of_rows;  ///< of the rows that models are compared on
  std::string missing;      ///< why there is none
};

void print_text(const Settings& s, const Input& in, const Result& r, const Baseline& baseline,
                const pf::MeanLogLikelihood& gain);
void print_json(const Settings& s, const Input& in, const Result& r, const Baseline& baseline,
                const pf::MeanLogLikelihood& gain, const std::vector<std::string>& warnings);

}  // namespace tool::fitting
