#pragma once

// The rows that a fit is told of.

#include <string>
#include <vector>

#include "tools/fit/settings.hpp"

namespace tool::fitting {

/// Rows of one kind: to train, or to validate.
struct Rows {
  Eigen::MatrixXd data, context;
  Eigen::VectorXd weights;  // empty: none
  std::vector<Index> lines;  // of the file
  Index size() const { return data.rows(); }
};

struct Input {
  std::vector<std::string> columns, context_columns;
  Rows train, validation;
  pf::ModelInfo info;
  std::vector<pf::Interval> supports;
  bool bounded = false;
  std::vector<pf::GridColumn> rounded;
  std::vector<std::string> notes;  ///< of the reader
};


/// Of all columns on grids: log of the size of a cell.
double log_cell(const Input& in);

Input read_input(const Settings& s);

/// Rounding to float moves no value by more than a ten-thousandth of its column's standard deviation.
bool float_is_enough(const Input& in);

/// The library counts columns and speaks of its own options.
std::string in_words_of_the_tool(const pf::Notice& notice, const Input& in);

}  // namespace tool::fitting
