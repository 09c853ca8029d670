#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <pushforward/error.hpp>
#include <pushforward/io/table.hpp>
#include <utility>

#include "src/core/shape_text.hpp"
#include "src/io/columns.hpp"
#include "src/io/file.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr Index kMostEmptyColumns = 1 << 20;  // whose names alone take memory, with no bytes in the file to show for it

}  // namespace

std::optional<TableFormat> table_format(const std::filesystem::path& path) {
  const auto lower = [](std::string text) {
    for (char& c : text)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 'a' - 'A');
    return text;
  };
  std::string extension = lower(path.extension().string());
  if (extension == ".gz") extension = lower(path.stem().extension().string());
  if (extension == ".npy") return TableFormat::npy;
  if (extension == ".npz") return TableFormat::npz;
  for (const char* text : {"", ".csv", ".tsv", ".txt", ".dat", ".data"})
    if (extension == text) return TableFormat::text;
  return std::nullopt;
}

TableReader::TableReader(const std::filesystem::path& path, const TableOptions& options)
    : source_(path == "-" ? "standard input" : path.string()) {
  const std::optional<TableFormat> format = options.format ? options.format : table_format(path);
  if (!format)
    throw IoError(Notice{.where = source_ + ": ",
                         .problem = "the extension " + show(path.extension().string()) +
                                    " says nothing of the format; known are .csv, .tsv, .txt, .dat, .data, .npy, .npz",
                         .option = "format",
                         .way_out = "; give TableOptions::format"});
  if (format != TableFormat::npz && !options.array.empty())
    throw IoError(Notice{.where = source_ + ": ",
                         .problem = fmt::format("array {} is asked for, but only .npz archives hold arrays by name",
                                                show(options.array)),
                         .option = "array"});
  if (format == TableFormat::text) {
    text_.emplace(path, CsvOptions{.header = options.header,
                                   .delimiter = options.delimiter,
                                   .columns = options.columns,
                                   .drop = options.drop,
                                   .allow_non_finite = options.allow_non_finite,
                                   .allow_empty = options.allow_empty,
                                   .decimal = options.decimal,
                                   .comment = options.comment,
                                   .missing = options.missing});
    return;
  }
  if (path == "-") throw IoError("standard input: arrays are read from files; write it to one first");
  const bool holes = options.missing != CsvOptions::Missing::error;
  const NpyOptions values{.allow_non_finite = options.allow_non_finite || holes};
  if (format == TableFormat::npy) open_matrix(source_, read_npy(path, values));
  else open_archive(NpzFile(path), options.array, values);
  if (!options.allow_empty && rows_ == 0) throw IoError(source_ + ": the file has no rows");
  if (!options.allow_empty && columns_.empty()) throw IoError(source_ + ": the array has no columns");
  std::vector<Column> columns;
  std::vector<std::string> names;
  for (const Index at : chosen_columns(source_, names_, options.columns, options.drop)) {
    columns.push_back(columns_[static_cast<std::size_t>(at)]);
    names.push_back(std::move(names_[static_cast<std::size_t>(at)]));
  }
  columns_ = std::move(columns);
  names_ = std::move(names);
  if (holes && !options.allow_non_finite) drop_rows_with_nan(options.missing);
  if (!options.allow_empty && dropped_rows_ > 0 && rows_ == 0) throw IoError(source_ + ": every row misses a value");
}

void TableReader::drop_rows_with_nan(CsvOptions::Missing missing) {
  for (Index i = 0; i < rows_; ++i) {
    bool hole = false;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const double v = columns_[c].values[columns_[c].offset + i * columns_[c].stride];
      if (std::isinf(v))
        throw IoError(fmt::format("{}: row {}, column {}: expected a finite number, got {}", source_, i,
                                  show(names_[c]), v));
      hole = hole || std::isnan(v);
    }
    if (!hole || missing == CsvOptions::Missing::as_nan) kept_.push_back(i);
  }
  dropped_rows_ = rows_ - static_cast<Index>(kept_.size());
  rows_ -= dropped_rows_;
  if (dropped_rows_ == 0) kept_.clear();
}

void TableReader::open_matrix(const std::string& where, NpyArray array) {
  if (array.shape.size() > 2)
    throw IoError(fmt::format("{}: expected an array of rows and columns, got shape {}; reshape it to (N, D)", where,
                              shape_text(array.shape)));
  const MatrixView<const double> view = arrays_.emplace_back(std::move(array)).view();
  if (view.rows() == 0 && view.cols() > kMostEmptyColumns)
    throw IoError(fmt::format("{}: shape {} has too many columns for an array without rows", where,
                              shape_text(arrays_.back().shape)));
  rows_ = view.rows();
  const std::vector<std::string>& fields = arrays_.back().fields;
  for (Index c = 0; c < view.cols(); ++c) {
    columns_.push_back({view.data(), c, view.cols()});
    names_.push_back(fields.empty() ? fmt::format("c{}", c) : fields[static_cast<std::size_t>(c)]);
  }
}

void TableReader::open_archive(const NpzFile& file, const std::string& chosen, const NpyOptions& values) {
  if (!chosen.empty() || file.names().size() == 1) {
    const std::string& name = chosen.empty() ? file.names().front() : chosen;
    return open_matrix(fmt::format("{}: {}", source_, name), file.get(name, values));
  }
  if (file.names().empty()) throw IoError(source_ + ": the archive holds no array");
  for (const std::string& name : file.names()) {
    arrays_.push_back(file.get(name, values));
    const std::vector<Index>& shape = arrays_.back().shape;
    if (shape.size() != 1 || shape != arrays_.front().shape)
      throw IoError(Notice{.where = source_ + ": ",
                           .problem = fmt::format("holds several arrays ({})", name_list(file.names())),
                           .option = "array",
                           .way_out = "; choose one with TableOptions::array"});
  }
  names_ = file.names();
  rows_ = arrays_.front().shape[0];
  for (const NpyArray& array : arrays_) columns_.push_back({array.values.data()});
}

Index TableReader::checked_rows(Index max_rows) const {
  if (max_rows < 1) throw ShapeError(fmt::format("TableReader::next: expected max_rows >= 1, got {}", max_rows));
  return std::min(max_rows, rows_ - position_);
}

void TableReader::take_into(MatrixView<double> values, VectorView<Index> lines) {
  const auto row = [&](Index i) {
    return kept_.empty() ? position_ + i : kept_[static_cast<std::size_t>(position_ + i)];
  };
  for (Index c = 0; c < values.cols(); ++c) {
    const Column& column = columns_[static_cast<std::size_t>(c)];
    for (Index i = 0; i < values.rows(); ++i) values(i, c) = column.values[column.offset + row(i) * column.stride];
  }
  for (Index i = 0; i < lines.size(); ++i) lines[i] = row(i);
  position_ += lines.size();
}

std::string TableReader::where(const Table& chunk, Index row) const {
  const Index line = chunk.lines.at(static_cast<std::size_t>(row));
  return text_ ? fmt::format("{}:{}", source_, line) : fmt::format("{}: row {} (from 0)", source_, line);
}

}  // namespace pushforward
