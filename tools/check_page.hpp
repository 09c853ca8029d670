#pragma once

// The page of `check`: one HTML file that needs nothing else.

#include <string>
#include <vector>

#include "tools/tool.hpp"

namespace tool {

/// Losses by epoch, as `fit --log` writes them.
struct LearningCurve {
  std::string file;                       ///< empty: none was given
  std::string candidate;                  ///< of a race; empty: there was none
  std::vector<double> train, validation;  ///< NaN where there is none
};

struct CheckPage {
  std::string model, data;                  ///< names of the files
  std::vector<std::string> columns, names;  ///< of the data; with those of the context behind
  std::vector<std::string> facts;           ///< what else is to be told: seed, rows left out
  std::vector<std::string> places;          ///< where the rows of the lowest density stand
  std::vector<Index> shown;                 ///< columns of the corner plot
  Eigen::MatrixXd rows, draws;              ///< for the pictures
  Eigen::MatrixXd worst;                    ///< the report's worst rows
  LearningCurve curve;
  const pf::CalibrationReport* report = nullptr;
};
std::string to_html(const CheckPage& page);

/// "0.034", "< 1e-12"
std::string p_text(double p);

}  // namespace tool
