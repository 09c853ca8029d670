#pragma once

// The rows that a fit is told of.

#include <string>
#include <vector>

#include "tools/fit/rows.hpp"
#include "tools/fit/settings.hpp"

namespace tool::fitting {

/// Some of the rows, by number.
struct Part {
  std::vector<std::int64_t> rows;  ///< rising; empty where they are all
  Index count = 0;
  Index size() const { return count; }
  Index operator[](Index i) const { return rows.empty() ? i : rows[static_cast<std::size_t>(i)]; }
};

struct Input {
  std::vector<std::string> columns, context_columns;
  RowStore rows{0};          ///< data columns, and then those of the context
  Eigen::VectorXd weights;   ///< empty: none
  Lines lines;               ///< of the file
  Part train, validation;    ///< as `fit` deals them; rows of weight 0 are in neither
  pf::ModelInfo info;
  pf::Space support;
  bool bounded() const { return support != pf::Space::real(dim()); }
  std::vector<pf::GridColumn> rounded;
  std::optional<DataReader> reader;  ///< of all rows, to say where they stand
  std::vector<std::string> notes;    ///< of the reader

  Index dim() const { return static_cast<Index>(columns.size()); }
  Index context_dim() const { return static_cast<Index>(context_columns.size()); }
  /// Of rows that are T.
  template <pf::Scalar T>
  pf::MatrixView<const T> data() const {
    return columns_of(rows.view<T>(), 0, dim());
  }
  template <pf::Scalar T>
  pf::MatrixView<const T> context() const {
    if (context_columns.empty()) return {};
    return columns_of(rows.view<T>(), dim(), context_dim());
  }
  double weight(Index row) const { return weights.size() > 0 ? weights[row] : 1; }
};

/// Of all columns on grids: log of the size of a cell.
double log_cell(const Input& in);

Input read_input(const Settings& s);

/// Rounding to float moves no value by more than a ten-thousandth of its column's standard deviation.
bool float_is_enough(const Input& in);
/// @throws DomainError  naming the column, if it moves some by more than a hundredth.
void refuse_float(const Settings& s, const Input& in);

/// The library counts columns and speaks of its own options.
std::string in_words_of_the_tool(const pf::Notice& notice, const Input& in);

}  // namespace tool::fitting
