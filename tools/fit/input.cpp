#include "tools/fit/input.hpp"

#include <algorithm>
#include <functional>
#include <pushforward/training/grids.hpp>
#include <pushforward/training/split.hpp>

namespace tool::fitting {

/// Of all columns on grids: log of the size of a cell.
double log_cell(const Input& in) {
  double sum = 0;
  for (const pf::GridColumn& r : in.rounded) sum += std::log(r.grid.step);
  return sum;
}

namespace {

/// Reads all rows, those of a .npy file by mapping it: its numbers are looked at all the same.
void read_rows(const Settings& s, const pf::TableOptions& choice, DataReader& reader, const std::vector<Index>& order,
               bool weighted, Input& in) {
  const Index kept = static_cast<Index>(order.size()) - (weighted ? 1 : 0);
  const std::vector<Index> stored(order.begin(), order.begin() + kept);
  const bool may_map = !weighted && extension(s.data) == ".npy" && choice.columns.empty() && choice.drop.empty() &&
                       std::is_sorted(order.begin(), order.end());
  const auto read = [&](DataReader& from, bool store) {
    pf::Table chunk;
    std::vector<double> weights;
    in.lines = {};
    while (from.next(chunk, chunk_rows)) {
      if (store) in.rows.append(chunk.values, stored);
      if (weighted)
        for (Index i = 0; i < chunk.values.rows(); ++i) weights.push_back(chunk.values(i, order.back()));
      for (const Index line : chunk.lines) in.lines.add(line);
    }
    in.weights = Eigen::Map<const Eigen::VectorXd>(weights.data(), static_cast<Index>(weights.size()));
  };
  const std::filesystem::path beside = std::filesystem::path(s.out).parent_path();
  const Room room{s.memory > 0 ? s.memory : half_of_the_memory(),
                  !s.scratch.empty() ? s.scratch : beside.empty() ? "." : beside.string()};
  in.rows = RowStore(kept, room);
  read(reader, !may_map);
  if (!may_map) return;
  if (auto mapped = RowStore::mapped(s.data, in.lines.size(), kept, room)) {
    in.rows = std::move(*mapped);
    return;
  }
  // Of another type or with rows that are left out.
  DataReader second(s.data, choice);
  read(second, true);
}

/// All rows inside of the support; `where` says which line one is.
void check_rows(const Input& in, const std::function<std::string(Index)>& where) {
  std::vector<double> row(static_cast<std::size_t>(in.dim()));
  for (Index i = 0; i < in.rows.rows(); ++i) {
    for (Index c = 0; c < in.dim(); ++c) row[static_cast<std::size_t>(c)] = in.rows(i, c);
    Index first = 0;
    for (const pf::Space::Block& block : in.support.blocks()) {
      for (Index c = first; block.is_open() && c < first + block.columns; ++c) {
        const auto [low, high] = block.bounds[static_cast<std::size_t>(c - first)];
        if (const double v = row[static_cast<std::size_t>(c)]; !(v > low && v < high))
          throw pf::DomainError(fmt::format("{}: column '{}': {:.9g} does not lie inside its bounds ({:.9g}, {:.9g}); {}",
                                            where(i), in.columns[static_cast<std::size_t>(c)], v, low, high,
                                            block.kind == pf::Space::Kind::box
                                                ? "widen --bounds or remove the row"
                                                : "shares are above 0: remove the row, or replace zeros by small shares"));
      }
      first += block.columns;
    }
    if (const auto found = in.support.find_misfit(row, "", 1e-6)) {
      const auto begin = in.columns.begin() + found->first;
      throw pf::DomainError(fmt::format("{}: column{} '{}'{}{}", where(i), found->columns > 1 ? "s" : "",
                                        joined({begin, begin + found->columns}, "', '"), found->problem,
                                        found->columns > 1 ? "; change or remove the row" : ""));
    }
  }
}

}  // namespace

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
    if (std::find(special.begin(), special.end(), static_cast<Index>(i)) == special.end()) in.columns.push_back(names[i]);
  if (in.columns.empty()) throw UsageError("no data column is left besides those of --context and --weights");
  in.support = support_of(s, in.columns);
  for (const std::string& name : in.columns)
    order.push_back(std::find(names.begin(), names.end(), name) - names.begin());
  order.insert(order.end(), special.begin(), special.end());

  read_rows(s, choice, reader, order, !s.weights.empty(), in);
  const Index dim = in.dim(), n = in.rows.rows();
  std::vector<std::string> stored = in.columns;
  stored.insert(stored.end(), in.context_columns.begin(), in.context_columns.end());
  reader.note_codes(in.rows.visit([](auto rows) { return pf::find_missing_codes(rows); }), stored, n);
  in.notes = reader.notes();
  if (reader.dropped_rows() > 0)
    in.notes.push_back(fmt::format("{} left out, which {} a value", counted(reader.dropped_rows(), "row"),
                                   reader.dropped_rows() == 1 ? "misses" : "miss"));
  in.rows.visit([&](auto rows) {
    using T = std::remove_cvref_t<decltype(rows(0, 0))>;
    const pf::MatrixView<const T> data = columns_of(rows, 0, dim);
    // A bound that values reach has room for them in a cell about it.
    std::vector<Index> reached;
    const std::vector<bool> free = pf::each_by_itself(in.support);
    for (Index c = 0; c < dim; ++c) {
      if (!free[static_cast<std::size_t>(c)]) continue;
      const auto [low, high] = in.support[c];
      Index i = 0;
      while (i < n && static_cast<double>(rows(i, c)) != low && static_cast<double>(rows(i, c)) != high) ++i;
      if (i < n && !s.no_dequantize) reached.push_back(c);
    }
    const auto is_reached = [&](const pf::GridColumn& r) {
      return std::find(reached.begin(), reached.end(), r.column) != reached.end();
    };
    const bool all = s.dequantize || (s.model == "auto" && !s.no_dequantize);
    if (!all && reached.empty()) return;
    in.rounded = pf::find_grids<T>(data, reached);
    std::erase_if(in.rounded, [&](const pf::GridColumn& r) { return !free[static_cast<std::size_t>(r.column)]; });
    if (!all) std::erase_if(in.rounded, [&](const pf::GridColumn& r) { return !is_reached(r); });
    for (const pf::GridColumn& r : in.rounded)
      if (is_reached(r))
        in.notes.push_back(fmt::format("column '{}' reaches its bounds: its values are taken as numbers in steps of {:g}, "
                                       "and scores are masses of cells",
                                       in.columns[static_cast<std::size_t>(r.column)], r.grid.step));
    const pf::Space cells = pf::cell_support<T>(data, in.rounded, in.support);
    if (cells.columns() > 0) in.support = cells;
  });
  const auto where = [&](Index row) { return reader.where(in.lines[row]); };
  if (in.bounded()) check_rows(in, where);
  for (Index i = 0; i < in.weights.size(); ++i)
    if (in.weights[i] < 0)
      throw pf::DomainError(fmt::format("{}: column '{}': weights must not be negative, got {:.9g}", where(i), s.weights,
                                        in.weights[i]));
  in.info.columns = in.columns;
  in.info.context_columns = in.context_columns;
  for (Index c = 0; c < in.rows.cols(); ++c) {
    pf::ModelInfo::Range range{in.rows(0, c), in.rows(0, c)};
    for (Index i = 1; i < n; ++i) {
      range.low = std::min(range.low, in.rows(i, c));
      range.high = std::max(range.high, in.rows(i, c));
    }
    (c < dim ? in.info.data_range : in.info.context_range).push_back(range);
  }

  in.reader = std::move(reader);
  if (in.rows.bytes_on_disk() > 0)
    in.notes.push_back(fmt::format("the rows take {:.3g} GB, more than --memory; they are read from the disk, and shuffled by "
                                   "blocks", static_cast<double>(in.rows.bytes_on_disk()) / 1e9));

  // fit_best deals the rows itself.
  const double validation = races(s) ? 0 : s.training.validation_fraction;
  if (validation > 0 || in.weights.size() > 0) {
    pf::RowSplit split = pf::split_rows(n, validation, s.training.seed, in.weights);
    in.train = {std::move(split.train)};
    in.validation = {std::move(split.validation)};
    for (Part* part : {&in.train, &in.validation}) part->count = static_cast<Index>(part->rows.size());
  } else {
    in.train.count = n;
  }
  const Index train = in.train.size();
  if (train < 2)
    throw pf::DomainError(fmt::format("{}: {}{} to train on; at least 2 are needed", s.data, counted(train, "row"),
                                      s.weights.empty() ? "" : " with a weight above 0"));
  if (races(s) && train < 4)
    throw pf::DomainError(fmt::format("{}: {} are too few to choose a model by; at least 4 are needed, or --model maf "
                                      "without folds, budget and ensemble",
                                      s.data, counted(train, "row")));
  return in;
}

namespace {

/// The largest magnitude in a column, of the data or of the context.
double largest(const Input& in, Index c) {
  const pf::ModelInfo::Range& range = c < in.dim() ? in.info.data_range[static_cast<std::size_t>(c)]
                                                   : in.info.context_range[static_cast<std::size_t>(c - in.dim())];
  return std::max(std::abs(range.low), std::abs(range.high));
}

/// By how much of its column's standard deviation rounding to float moves a value, at most.
double moved_by_rounding(const Input& in, Index c) {
  if (largest(in, c) > 3e38) return std::numeric_limits<double>::infinity();
  const Index n = in.rows.rows();
  double mean = 0, square = 0;
  for (Index i = 0; i < n; ++i) mean += in.rows(i, c) / static_cast<double>(n);
  for (Index i = 0; i < n; ++i) square += (in.rows(i, c) - mean) * (in.rows(i, c) - mean) / static_cast<double>(n);
  return square > 0 ? 0x1p-24 * largest(in, c) / std::sqrt(square) : 0;
}

}  // namespace

bool float_is_enough(const Input& in) {
  for (Index c = 0; c < in.rows.cols(); ++c)
    if (moved_by_rounding(in, c) > 1e-4) return false;
  // Numbers of a grid stay nearer to it than a hundredth of a step.
  return std::none_of(in.rounded.begin(), in.rounded.end(), [&](const pf::GridColumn& r) {
    return 0x1p-24 * largest(in, r.column) > 0.005 * r.grid.step;
  });
}

void refuse_float(const Settings& s, const Input& in) {
  for (Index c = 0; c < in.rows.cols(); ++c)
    if (const double moved = moved_by_rounding(in, c); moved > 0.01)
      throw pf::DomainError(fmt::format(
          "{}: --precision float: column '{}' has values up to {:.3g}, and rounding them moves them by {:.2g} of its "
          "standard deviation; leave the option out, or subtract what they have in common",
          s.data,
          c < in.dim() ? in.columns[static_cast<std::size_t>(c)]
                       : in.context_columns[static_cast<std::size_t>(c - in.dim())],
          largest(in, c), moved));
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
  if (notice.option == "batch_size") way_out = "; --batch must be at least 2";
  if (notice.option == "ridge" || notice.option == "drop") {
    std::vector<std::string> names;
    for (const std::ptrdiff_t c : notice.columns) names.push_back(in.columns.at(static_cast<std::size_t>(c)));
    for (const std::ptrdiff_t c : notice.context_columns) names.push_back(in.context_columns.at(static_cast<std::size_t>(c)));
    way_out = names.empty() ? "; leave some out with --drop" : "; " + leave_out_with({{"drop", joined(names, ",")}});
  }
  // Which call of the library on which classes it was is nothing that a command line has.
  const std::size_t call = notice.where.rfind("): ");
  const std::string where = call == std::string::npos ? notice.where : notice.where.substr(call + 3);
  return where + place + notice.problem + way_out;
}

}  // namespace tool::fitting
