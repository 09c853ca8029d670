#pragma once

// What came of a fit, and how it is told.

#include <string>
#include <vector>

#include <pushforward/training/fit_best.hpp>

#include "tools/fit/input.hpp"
#include "tools/scores.hpp"

namespace tool::fitting {

/// What the model says of some rows, and the Gaussian of the same.
struct Judgement {
  pf::MeanLogLikelihood model, gaussian = {}, gain = {};
};

struct Result {
  std::string precision;
  Index parameters = 0;
  pf::FitReport report;  // of flows
  std::vector<pf::CandidateReport> candidates;  // of auto
  std::string reason;
  std::string interrupted;  ///< empty: it was not
  std::string no_gaussian;  ///< why there is none to compare with; empty: there is
  Judgement train, validation;
  Scores scores;  // of the validation rows, or of the training rows where there are none
};

/// Fewer tell nothing of a model.
inline constexpr Index few_validation_rows = 10;

/// Over the Gaussian, of rows that were not trained on, where there are some.
const pf::MeanLogLikelihood& gain_of(const Input& in, const Result& r);

void print_text(const Settings& s, const Input& in, const Result& r);
void print_json(const Settings& s, const Input& in, const Result& r, const std::vector<std::string>& warnings);

}  // namespace tool::fitting
