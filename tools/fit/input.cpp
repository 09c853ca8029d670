#include "tools/fit/input.hpp"

#include <algorithm>
#include <pushforward/training/grids.hpp>
#include <pushforward/training/split.hpp>

namespace tool::fitting {

/// Of all columns on grids: log of the size of a cell.
double log_cell(const Input& in) {
  double sum = 0;
  for (const pf::GridColumn& r : in.rounded) sum += std::log(r.grid.step);
  return sum;
}

/// These rows; where they are all of a table of data alone, `values` itself and no copy.
Rows take(Eigen::MatrixXd& values, std::vector<Index>& lines, const std::vector<std::int64_t>& rows, Index dim,
          Index context_dim, bool weighted) {
  Rows r;
  if (static_cast<Index>(rows.size()) == values.rows() && dim == values.cols()) {
    r.lines.swap(lines);
    r.data.swap(values);
    r.context.resize(r.data.rows(), 0);
    return r;
  }
  r.lines.reserve(rows.size());
  for (const std::int64_t row : rows) r.lines.push_back(lines[static_cast<std::size_t>(row)]);
  r.data = values.leftCols(dim)(rows, Eigen::all);
  r.context = values.middleCols(dim, context_dim)(rows, Eigen::all);
  if (weighted) r.weights = values.col(dim + context_dim)(rows);
  return r;
}

Input read_input(const Settings& s) {
  Input in;
  in.context_columns = split_lists(s.context);
  // With a choice of columns, context and weights are read besides.
  pf::TableOptions choice = table_options(s.text, s.array);
  choice.columns = split_lists(s.columns);
  choice.drop = split_lists(s.drop);
  if (s.missing == "drop") choice.missing = pf::CsvOptions::Missing::drop;
  if (!choice.columns.empty()) {
    choice.columns.insert(choice.columns.end(), in.context_columns.begin(), in.context_columns.end());
    if (!s.weights.empty()) choice.columns.push_back(s.weights);
  }
  DataReader reader(s.data, choice);
  const std::vector<std::string>& names = reader.names();
  std::vector<Index> order, special;
  const auto position = [&](const std::string& name, const char* option) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      throw pf::IoError(
          fmt::format("{}: no column '{}' for {}; the columns are {}", s.data, name, option, joined(names)));
    const auto index = static_cast<Index>(found - names.begin());
    if (std::find(special.begin(), special.end(), index) != special.end())
      throw UsageError(fmt::format("{}: column '{}' is named twice", option, name));
    special.push_back(index);
    return index;
  };
  for (const std::string& name : in.context_columns) position(name, "--context");
  if (!s.weights.empty()) position(s.weights, "--weights");
  for (std::size_t i = 0; i < names.size(); ++i)
    if (std::find(special.begin(), special.end(), static_cast<Index>(i)) == special.end()) {
      order.push_back(static_cast<Index>(i));
      in.columns.push_back(names[i]);
    }
  if (in.columns.empty()) throw UsageError("no data column is left besides those of --context and --weights");
  in.supports = parse_bounds(s, in.columns);
  order.insert(order.end(), special.begin(), special.end());

  pf::Table table = reader.rest();
  in.notes = reader.notes();
  if (reader.dropped_rows() > 0)
    in.notes.push_back(fmt::format("{} left out, which {} a value", counted(reader.dropped_rows(), "row"),
                                   reader.dropped_rows() == 1 ? "misses" : "miss"));
  Eigen::MatrixXd values;
  if (std::is_sorted(order.begin(), order.end())) values.swap(table.values);  // all in their order: no copy
  else values = table.values(Eigen::all, order);
  table.values.resize(0, 0);
  const auto dim = static_cast<Index>(in.columns.size());
  const auto context_dim = static_cast<Index>(in.context_columns.size());
  const Index n = values.rows();
  const pf::MatrixView<const double> data = values.leftCols(dim);
  if (s.dequantize || (s.model == "auto" && !s.no_dequantize)) {
    in.rounded = pf::find_grids<double>(data);
    const std::vector<pf::Interval> cells = pf::cell_supports<double>(data, in.rounded, in.supports);
    if (!cells.empty()) in.supports = cells;
  }
  for (Index c = 0; c < dim; ++c) {
    const pf::Interval& support = in.supports[static_cast<std::size_t>(c)];
    in.bounded = in.bounded || support != pf::real_line;
    for (Index i = 0; i < n; ++i)
      if (!(values(i, c) > support.low && values(i, c) < support.high))
        throw pf::DomainError(fmt::format(
            "{}: column '{}': {:.9g} does not lie inside its bounds ({:.9g}, {:.9g}); "
            "widen --bounds or remove the row",
            reader.where(table, i), in.columns[static_cast<std::size_t>(c)], values(i, c), support.low, support.high));
  }
  if (!s.weights.empty())
    for (Index i = 0; i < n; ++i)
      if (values(i, dim + context_dim) < 0)
        throw pf::DomainError(fmt::format("{}: column '{}': weights must not be negative, got {:.9g}",
                                          reader.where(table, i), s.weights, values(i, dim + context_dim)));
  in.info.columns = in.columns;
  in.info.context_columns = in.context_columns;
  for (Index c = 0; c < dim + context_dim; ++c)
    (c < dim ? in.info.data_range : in.info.context_range)
        .push_back({values.col(c).minCoeff(), values.col(c).maxCoeff()});

  // The baseline is judged by the very same rows.
  Eigen::VectorXd weights;
  if (!s.weights.empty()) weights = values.col(dim + context_dim);
  // fit_best deals the rows itself.
  const double validation = s.model == "auto" ? 0 : s.training.validation_fraction;
  const pf::RowSplit split = pf::split_rows(n, validation, s.training.seed, weights);
  if (split.train.size() < 2)
    throw pf::DomainError(fmt::format("{}: {}{} to train on; at least 2 are needed", s.data,
                                      counted(static_cast<Index>(split.train.size()), "row"),
                                      s.weights.empty() ? "" : " with a weight above 0"));
  if (s.model == "auto" && split.train.size() < 4)
    throw pf::DomainError(fmt::format("{}: {} are too few to choose a model by; at least 4 are needed, or a model with a "
                                      "name: --model maf",
                                      s.data, counted(static_cast<Index>(split.train.size()), "row")));
  in.validation = take(values, table.lines, split.validation, dim, context_dim, !s.weights.empty());
  in.train = take(values, table.lines, split.train, dim, context_dim, !s.weights.empty());
  return in;
}

/// Rounding to float moves no value by more than a ten-thousandth of its column's standard deviation.
bool float_is_enough(const Input& in) {
  for (const Eigen::MatrixXd* columns : {&in.train.data, &in.train.context})
    for (Index c = 0; c < columns->cols(); ++c) {
      const Eigen::VectorXd values = columns->col(c);
      const double largest = values.cwiseAbs().maxCoeff(), mean = values.mean();
      const double spread = std::sqrt((values.array() - mean).square().mean());
      if (largest > 3e38 || (spread > 0 && 0x1p-24 * largest > 1e-4 * spread)) return false;
    }
  // Numbers of a grid stay nearer to it than a hundredth of a step.
  for (const auto& [column, grid, found] : in.rounded)
    if (0x1p-24 * in.train.data.col(column).cwiseAbs().maxCoeff() > 0.005 * grid.step) return false;
  return true;
}

/// The library counts columns and speaks of its own options.
std::string in_words_of_the_tool(const pf::Notice& notice, const Input& in) {
  std::string place = pf::Notice{.set = notice.set, .row = notice.row}.place();
  const auto name = [&](const char* kind, const std::vector<std::ptrdiff_t>& columns,
                        const std::vector<std::string>& names) {
    std::vector<std::string> quoted;
    for (const std::ptrdiff_t c : columns) quoted.push_back(fmt::format("'{}'", names.at(static_cast<std::size_t>(c))));
    if (!quoted.empty())
      place += fmt::format("{}{}{} {}", place.empty() ? "" : ", ", kind, quoted.size() > 1 ? "s" : "", joined(quoted));
  };
  name("column", notice.columns, in.columns);
  name("context column", notice.context_columns, in.context_columns);
  std::string way_out = notice.way_out;
  if (notice.option == "rounded") way_out = "; --dequantize gives each value the mass of its cell";
  if (notice.option == "standardize") way_out = "; --standardize mean_std helps, or a larger --input-bound";
  if (notice.option == "ridge" || notice.option == "drop") {
    std::vector<std::string> names;
    for (const std::ptrdiff_t c : notice.columns) names.push_back(in.columns.at(static_cast<std::size_t>(c)));
    for (const std::ptrdiff_t c : notice.context_columns) names.push_back(in.context_columns.at(static_cast<std::size_t>(c)));
    way_out = names.empty() ? "; leave some out with --drop" : "; " + leave_out_with({{"drop", joined(names, ",")}});
  }
  return notice.where + place + notice.problem + way_out;
}

}  // namespace tool::fitting
