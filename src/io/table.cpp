#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <pushforward/error.hpp>
#include <pushforward/io/table.hpp>
#include <utility>

#include "src/core/number_text.hpp"
#include "src/core/shape_text.hpp"
#include "src/io/columns.hpp"
#include "src/io/file.hpp"
#include "src/io/numbers.hpp"
#include "src/io/npy_format.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr Index kMostEmptyColumns = 1 << 20;  // whose names alone take memory, with no bytes in the file to show for it

/// Numbers in the names count as such: "part-2" before "part-10".
bool before(std::string_view a, std::string_view b) {
  const auto digits = [](std::string_view& text) {
    std::size_t end = 0;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    std::string_view number = text.substr(0, end);
    text.remove_prefix(end);
    while (number.size() > 1 && number.front() == '0') number.remove_prefix(1);
    return number;
  };
  const std::string_view whole_a = a, whole_b = b;
  while (!a.empty() && !b.empty()) {
    const std::string_view x = digits(a), y = digits(b);
    if (x.empty() != y.empty()) break;
    if (x.size() != y.size()) return x.size() < y.size();
    if (x != y) return x < y;
    if (!x.empty()) continue;
    if (a.front() != b.front()) break;
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return std::pair(a, whole_a) < std::pair(b, whole_b);
}

/// The tables of a folder.
std::vector<std::filesystem::path> tables_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  try {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".") || name.starts_with("_") || entry.is_directory()) continue;
      if (!table_format(name) || entry.path().extension().empty())
        throw IoError(fmt::format("{}: the extension of {} says nothing of the format; a folder of tables holds nothing "
                                  "else, but for names that begin with \".\" or \"_\"",
                                  folder.string(), show(name)));
      files.push_back(entry.path());
    }
  } catch (const std::filesystem::filesystem_error& error) {
    throw IoError(fmt::format("{}: cannot read the folder: {}", folder.string(), error.code().message()));
  }
  if (files.empty()) throw IoError(folder.string() + ": the folder holds no tables (.csv, .tsv, .txt, .dat, .npy, .npz)");
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) {
    return before(a.filename().string(), b.filename().string());
  });
  return files;
}

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

/// The columns of arrays, row by row. Either a .npy file whose rows are read as they are asked for, or arrays in memory.
struct TableReader::Arrays {
  std::string source;
  CsvOptions::Missing missing;
  bool allow_non_finite, allow_empty;
  std::vector<double> missing_numbers{};
  std::optional<Faults> left_out{};  // in rows that were left out; once the columns are known
  std::vector<std::string> names{};  // of all columns, then of those that are read
  Index rows = 0, position = 0, kept = 0, dropped = 0;

  // A file: column `targets[c]` of the table is column c of it; -1 is not read.
  std::optional<ByteSource> file{};
  NpyLayout layout{};
  std::vector<Index> targets{};
  std::vector<std::byte> bytes{};
  std::vector<double> numbers{};
  // In memory: `rows` values from `offset` on, `stride` apart.
  struct Column {
    const double* values = nullptr;
    Index offset = 0, stride = 1;
  };
  std::vector<NpyArray> held{};
  std::vector<Column> columns{};

  void check_shape(const std::string& where, const std::vector<Index>& shape) const {
    if (shape.size() > 2)
      throw IoError(fmt::format("{}: expected an array of rows and columns, got shape {}; reshape it to (N, D)", where,
                                shape_text(shape)));
    if (shape.size() == 2 && shape[0] == 0 && shape[1] > kMostEmptyColumns)
      throw IoError(fmt::format("{}: shape {} has too many columns for an array without rows", where, shape_text(shape)));
  }

  void name_columns(Index count, const std::vector<std::string>& fields) {
    for (Index c = 0; c < count; ++c)
      names.push_back(fields.empty() ? fmt::format("c{}", c) : fields[static_cast<std::size_t>(c)]);
  }

  void open_file(const std::filesystem::path& path) {
    file.emplace(path);
    if (file->is_gzip()) {
      file.reset();
      return open_matrix(source, read_npy(path, {.allow_non_finite = true}));
    }
    layout = read_layout(file->range(0, file->size()), file->size(), true, source);
    check_shape(source, layout.shape);
    rows = layout.shape.empty() ? 1 : layout.shape[0];
    const Index items = layout.shape.size() < 2 ? 1 : layout.shape[1];
    name_columns(items * static_cast<Index>(layout.parts.size()), layout.fields);
  }

  void open_matrix(const std::string& where, NpyArray array) {
    check_shape(where, array.shape);
    const MatrixView<const double> view = held.emplace_back(std::move(array)).view();
    rows = view.rows();
    name_columns(view.cols(), held.back().fields);
    for (Index c = 0; c < view.cols(); ++c) columns.push_back({view.data(), c, view.cols()});
  }

  void open_archive(const NpzFile& archive, const std::string& chosen) {
    const NpyOptions any{.allow_non_finite = true};
    if (!chosen.empty() || archive.names().size() == 1) {
      const std::string& name = chosen.empty() ? archive.names().front() : chosen;
      return open_matrix(fmt::format("{}: {}", source, name), archive.get(name, any));
    }
    if (archive.names().empty()) throw IoError(source + ": the archive holds no array");
    for (const std::string& name : archive.names()) {
      held.push_back(archive.get(name, any));
      const std::vector<Index>& shape = held.back().shape;
      if (shape.size() != 1 || shape != held.front().shape)
        throw IoError(Notice{.where = source + ": ",
                             .problem = fmt::format("holds several arrays ({})", name_list(archive.names())),
                             .option = "array",
                             .way_out = "; choose one with TableOptions::array"});
    }
    names = archive.names();
    rows = held.front().shape[0];
    for (const NpyArray& array : held) columns.push_back({array.values.data()});
  }

  void choose(const TableOptions& options) {
    const std::vector<Index> order = chosen_columns(source, names, options.columns, options.drop);
    targets.assign(names.size(), -1);
    std::vector<Column> chosen;
    std::vector<std::string> chosen_names;
    for (const Index at : order) {
      targets[static_cast<std::size_t>(at)] = static_cast<Index>(chosen_names.size());
      if (!file) chosen.push_back(columns[static_cast<std::size_t>(at)]);
      chosen_names.push_back(std::move(names[static_cast<std::size_t>(at)]));
    }
    columns = std::move(chosen);
    names = std::move(chosen_names);
    left_out.emplace(names.size());
  }

  /// Rows from `first` on, as they are.
  void load(Index first, MatrixView<double> to) {
    if (!file) {
      for (Index c = 0; c < to.cols(); ++c) {
        const Column& column = columns[static_cast<std::size_t>(c)];
        for (Index i = 0; i < to.rows(); ++i) to(i, c) = column.values[column.offset + (first + i) * column.stride];
      }
      return;
    }
    const auto width = static_cast<Index>(targets.size());
    if (layout.fortran_order && layout.shape.size() == 2) {
      for (Index c = 0; c < width; ++c)
        if (const Index target = targets[static_cast<std::size_t>(c)]; target >= 0)
          read_items(c * rows + first, to.rows(), [&](Index i, double value) { to(i, target) = value; });
      return;
    }
    // The numbers of a row, one after another.
    const Index items = layout.shape.size() < 2 ? 1 : layout.shape[1];
    Index row = 0, column = 0;
    read_items(first * items, to.rows() * items, [&](Index, double value) {
      const Index target = targets[static_cast<std::size_t>(column)];
      if (target >= 0) to(row, target) = value;
      if (++column < width) return;
      column = 0;
      ++row;
    });
  }

  /// `put(i, value)` for the numbers of items of the file.
  template <class Put>
  void read_items(Index first, Index count, const Put& put) {
    const auto parts = static_cast<Index>(layout.parts.size());
    const auto piece = std::max<Index>(static_cast<Index>(kPieceSize / 8) / parts, 1);
    bytes.resize(static_cast<std::size_t>(std::min(piece, count)) * layout.item_size);
    numbers.resize(static_cast<std::size_t>(std::min(piece, count) * parts));
    for (Index done = 0; done < count; done += piece) {
      const Index now = std::min(piece, count - done);
      file->read(layout.begin + static_cast<std::uint64_t>(first + done) * layout.item_size, bytes.data(),
                 static_cast<std::size_t>(now) * layout.item_size);
      layout.load(bytes.data(), static_cast<std::size_t>(now), numbers.data());
      for (Index i = 0; i < now * parts; ++i) put(done * parts + i, numbers[static_cast<std::size_t>(i)]);
    }
  }

  bool is_missing(double value) const {
    return (std::isnan(value) && !allow_non_finite) ||
           std::find(missing_numbers.begin(), missing_numbers.end(), value) != missing_numbers.end();
  }

  /// Whether row `at`, which is row `row` of the arrays, stays in the table. What is missing becomes NaN.
  bool stays(MatrixView<double> values, Index at, Index row) {
    bool whole = true;
    for (Index c = 0; c < values.cols(); ++c) {
      double& value = values(at, c);
      if (std::isfinite(value) && missing_numbers.empty()) continue;
      if (!is_missing(value)) {
        if (std::isinf(value) && !allow_non_finite) report_faults(row, c);
        continue;
      }
      if (missing == CsvOptions::Missing::error) report_faults(row, c);
      value = std::numeric_limits<double>::quiet_NaN();
      if (missing != CsvOptions::Missing::drop) continue;
      ++left_out->missing[static_cast<std::size_t>(c)];
      whole = false;
    }
    dropped += !whole;
    return whole;
  }

  /// Reads on from `row` and says which columns have values like the one in it.
  [[noreturn]] void report_faults(Index row, Index column) {
    constexpr Index kMostRows = 1'000'000, kPiece = 1024;
    const Index end = std::min(rows, row + kMostRows);
    Matrix<double> piece;
    Faults faults(names.size());
    double first = 0;
    for (Index begin = row; begin < end; begin += kPiece) {
      piece.resize(std::min(kPiece, end - begin), static_cast<Index>(names.size()));
      load(begin, piece);
      if (begin == row) first = piece(0, column);
      faults.rows += piece.rows();
      for (Index i = 0; i < piece.rows(); ++i) {
        std::vector<Index> holes;
        for (Index c = 0; c < piece.cols(); ++c) {
          if (is_missing(piece(i, c))) holes.push_back(c);
          else faults.text[static_cast<std::size_t>(c)] += std::isinf(piece(i, c));
        }
        faults.add_holes(holes);
      }
    }
    const std::string where = fmt::format("{}: row {} (from 0), column {} ({}): ", source, row, column + 1,
                                          show(names[static_cast<std::size_t>(column)]));
    const std::string got = number_text(unsigned_nan(first));
    throw IoError(faults.notice(names, where,
                                std::isfinite(first) ? "expected a number, got " + got + ", which counts as missing"
                                                     : "expected a finite number, got " + got,
                                end == rows));
  }
};

TableReader::TableReader(TableReader&&) noexcept = default;
TableReader& TableReader::operator=(TableReader&&) noexcept = default;
TableReader::~TableReader() = default;

TableReader::TableReader(const std::filesystem::path& path, const TableOptions& options) : options_(options) {
  if (!std::filesystem::is_directory(path)) {
    open(path, options);
    return;
  }
  if (options.format)
    throw IoError(path.string() + ": TableOptions::format is for a file; those of a folder are told by their extensions");
  files_ = tables_in(path);
  allow_empty_ = options.allow_empty;
  options_.allow_empty = true;  // a file may be without rows
  file_ = -1;
  open_next();
}

bool TableReader::open_next() {
  if (file_ + 1 >= static_cast<Index>(files_.size())) return false;
  const std::vector<std::string> wanted = names_;
  const bool first = file_ < 0;
  if (!first) {
    dropped_before_ += dropped_of_file();
    first_lines_.push_back(last_line_ + 1);
  }
  const std::filesystem::path& path = files_[static_cast<std::size_t>(++file_)];
  open(path, options_);
  if (first || names_ == wanted) return true;
  std::vector<std::string> here = names_, there = wanted;
  std::sort(here.begin(), here.end());
  std::sort(there.begin(), there.end());
  if (here != there)
    throw IoError(fmt::format("{}: expected the columns of {}, {}, got {}", path.string(), files_.front().string(),
                              name_list(wanted), name_list(names_)));
  TableOptions in_order = options_;
  in_order.columns = wanted;
  in_order.drop.clear();
  open(path, in_order);
  return true;
}

void TableReader::check_any_rows() const {
  if (!files_.empty() && last_line_ < 0 && !allow_empty_)
    throw IoError(fmt::format("{}: {}", files_.front().parent_path().string(),
                              dropped_rows() > 0 ? "every row misses a value" : "the tables of the folder have no rows"));
}

void TableReader::open(const std::filesystem::path& path, const TableOptions& options) {
  source_ = path == "-" ? "standard input" : path.string();
  text_.reset();
  arrays_.reset();
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
                                   .missing = options.missing,
                                   .missing_values = options.missing_values,
                                   .thousands = options.thousands});
    names_ = text_->names();
    return;
  }
  if (path == "-") throw IoError("standard input: arrays are read from files; write it to one first");
  arrays_.reset(new Arrays{.source = source_,
                           .missing = options.missing,
                           .allow_non_finite = options.allow_non_finite,
                           .allow_empty = options.allow_empty});
  for (const std::string& text : options.missing_values) {
    if (const auto number = as_number(text)) arrays_->missing_numbers.push_back(*number);
  }
  if (format == TableFormat::npy) arrays_->open_file(path);
  else arrays_->open_archive(NpzFile(path), options.array);
  if (!options.allow_empty && arrays_->rows == 0) throw IoError(source_ + ": the file has no rows");
  if (!options.allow_empty && arrays_->names.empty()) throw IoError(source_ + ": the array has no columns");
  arrays_->choose(options);
  names_ = arrays_->names;
}

Index TableReader::dropped_of_file() const { return text_ ? text_->dropped_rows() : arrays_->dropped; }
Index TableReader::rows_left() const { return arrays_->rows - arrays_->position; }

Index TableReader::checked_rows(Index max_rows) const {
  if (max_rows < 1) throw ShapeError(fmt::format("TableReader::next: expected max_rows >= 1, got {}", max_rows));
  return std::min(max_rows, rows_left());
}

Index TableReader::take_into(MatrixView<double> values, VectorView<Index> lines) {
  Arrays& from = *arrays_;
  const Index piece = std::max<Index>(static_cast<Index>(kPieceSize / 8) / std::max<Index>(values.cols(), 1), 1);
  Index kept = 0;
  while (kept < values.rows() && from.position < from.rows) {
    const Index base = kept, first = from.position;
    const Index count = std::min({piece, values.rows() - base, from.rows - first});
    from.load(first, values.middle_rows(base, count));
    for (Index i = 0; i < count; ++i) {
      if (!from.stays(values, base + i, first + i)) continue;
      if (kept != base + i)
        for (Index c = 0; c < values.cols(); ++c) values(kept, c) = values(base + i, c);
      lines[kept++] = first + i;
    }
    from.position = first + count;
  }
  from.kept += kept;
  if (from.dropped > 0 && from.kept == 0 && from.position == from.rows && !from.allow_empty)
    throw IoError(from.left_out->nothing_left(names_, source_ + ": "));
  return kept;
}

std::string TableReader::where(Index line) const {
  if (files_.empty()) return text_ ? fmt::format("{}:{}", source_, line) : fmt::format("{}: row {} (from 0)", source_, line);
  const auto file = std::upper_bound(first_lines_.begin(), first_lines_.end(), line) - first_lines_.begin() - 1;
  const std::filesystem::path& path = files_[static_cast<std::size_t>(file)];
  line -= first_lines_[static_cast<std::size_t>(file)];
  return table_format(path) == TableFormat::text ? fmt::format("{}:{}", path.string(), line)
                                                 : fmt::format("{}: row {} (from 0)", path.string(), line);
}

}  // namespace pushforward
