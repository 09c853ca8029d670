#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <pushforward/io/csv.hpp>
#include <pushforward/io/npy.hpp>
#include <string>
#include <vector>

namespace pushforward {

enum class TableFormat { text, npy, npz };

/// What a file holds by its extension, in either case of letters: .npy, .npz, or text (.csv, .tsv, .txt, .dat, .data, no
/// extension, and "-", standard input); .gz may follow. Nothing for any other.
std::optional<TableFormat> table_format(const std::filesystem::path& path);

/// How `read_table` and `TableReader` understand a file.
struct TableOptions {
  /// Empty: by `table_format`.
  std::optional<TableFormat> format{};
  /// Names of the columns to read, in the order wanted; empty: all.
  std::vector<std::string> columns{};
  /// Names of columns to leave out.
  std::vector<std::string> drop{};
  /// Which array of a .npz archive is the table. Empty: the only one; or, where all are of rank 1 and of one length,
  /// each is a column with its own name.
  std::string array{};
  /// Lets NaN and infinities through. Otherwise they are errors: in text only in columns that are read.
  bool allow_non_finite = false;
  /// Lets tables without rows through.
  bool allow_empty = false;
  /// Of text, as in `CsvOptions`.
  CsvOptions::Header header = CsvOptions::Header::detect;
  char delimiter = '\0';
  char decimal = '\0';
  char comment = '#';
  /// As in `CsvOptions`; of arrays NaN is a missing value.
  CsvOptions::Missing missing = CsvOptions::Missing::error;
  /// As in `CsvOptions`; of arrays those that are numbers.
  std::vector<std::string> missing_values{};
  /// Of text, as in `CsvOptions`.
  char thousands = '\0';
};

/// Reads a table in chunks of rows, from delimited text (as `CsvReader` does, with header and delimiter found), or from
/// a NumPy array: (N, D); (N,) is one column, a single number one row of it. The columns of an array are "c0", "c1", ...,
/// those of a structured array its fields. Text and .npy packed by gzip are unpacked, whatever the file is called.
///
/// A folder is one table: its files in the order of their names, in which numbers count as such ("part-2" before
/// "part-10"). All of them have the columns of the first, by name; those whose names begin with "." or "_", and folders,
/// are passed over. Files without rows are welcome beside others.
///
/// Text is read as it is asked for, and so are the rows of a .npy file: memory does not grow with the file, nor with the
/// number of files. Packed arrays, archives and arrays from pipes are read whole when they are opened.
///
/// Errors are those of `CsvReader`, `read_npy` and `NpzFile`. IoError besides, always with the file: an extension that
/// says nothing, an array of more than two axes, several arrays of which none is chosen (the notice's option is
/// "array"), `array` for what is no archive, a column that is not there or named twice, no column or no row left; and in
/// arrays a value that is not finite, with all columns that have such, when its row is read. Of a folder one without
/// tables, a file in it whose extension says nothing, and a file with other columns, when it is opened.
/// ShapeError for `max_rows` below 1.
class TableReader {
 public:
  /// Opens the file ("-": text from standard input), or the first of a folder, and reads the names of its columns.
  explicit TableReader(const std::filesystem::path& path, const TableOptions& options = {});
  TableReader(TableReader&&) noexcept;
  TableReader& operator=(TableReader&&) noexcept;
  ~TableReader();

  /// The D columns that are read, in their order.
  const std::vector<std::string>& names() const { return names_; }
  /// As of `CsvReader`; of arrays none. Of a folder those of the file that is read.
  std::vector<std::string> notes() const { return text_ ? text_->notes() : std::vector<std::string>(); }
  /// Rows that were left out so far for want of a value.
  Index dropped_rows() const { return dropped_before_ + dropped_of_file(); }

  /// Puts the next rows, at most `max_rows`, in place of what `chunk` held: of a folder those of one file. False when
  /// there was none left.
  bool next(Table& chunk, Index max_rows) {
    do {
      if (next_of_file(chunk, max_rows)) return true;
    } while (open_next());
    check_any_rows();
    return false;
  }

  /// All remaining rows.
  Table rest() {
    std::vector<Table> tables;
    Index rows = 0;
    do {
      tables.push_back(rest_of_file());
      rows += tables.back().values.rows();
    } while (open_next());
    check_any_rows();
    if (tables.size() == 1) return std::move(tables.front());
    Table all{.names = names_, .values = Matrix<double>(rows, static_cast<Index>(names_.size())), .lines = {}};
    all.lines.reserve(static_cast<std::size_t>(rows));
    for (Table& part : tables) {
      all.values.middleRows(static_cast<Index>(all.lines.size()), part.values.rows()) = part.values;
      all.lines.insert(all.lines.end(), part.lines.begin(), part.lines.end());
      part = {};
    }
    return all;
  }

  /// Where row `row` of `chunk` stands: "x.csv:17", "x.npy: row 16 (from 0)".
  std::string where(const Table& chunk, Index row) const { return where(chunk.lines.at(static_cast<std::size_t>(row))); }
  /// The same by what `lines` of a chunk holds: in a folder the numbers go on from file to file.
  std::string where(Index line) const;

 private:
  struct Arrays;
  void open(const std::filesystem::path& path, const TableOptions& options);
  bool open_next();
  void check_any_rows() const;
  Index dropped_of_file() const;
  Index rows_left() const;
  Index checked_rows(Index max_rows) const;
  bool next_of_file(Table& chunk, Index max_rows) {
    if (text_) text_->next(chunk, max_rows);
    else take(chunk, checked_rows(max_rows));
    return number(chunk) > 0;
  }
  Table rest_of_file() {
    Table table;
    if (text_) table = text_->rest();
    else take(table, rows_left());
    number(table);
    return table;
  }
  /// Lines count through all files.
  Index number(Table& table) {
    for (Index& line : table.lines) line += first_lines_.back();
    if (!table.lines.empty()) last_line_ = table.lines.back();
    return table.values.rows();
  }
  // The matrix is allocated here, in the caller's code: no Eigen-owned memory crosses the library.
  void take(Table& table, Index rows) {
    table.names = names_;
    table.values.resize(rows, static_cast<Index>(names_.size()));
    table.lines.resize(static_cast<std::size_t>(rows));
    const Index kept = take_into(table.values, VectorView<Index>(table.lines));
    if (kept == rows) return;
    table.values.conservativeResize(kept, Eigen::NoChange);
    table.lines.resize(static_cast<std::size_t>(kept));
  }
  Index take_into(MatrixView<double> values, VectorView<Index> lines);

  std::string source_;
  std::vector<std::filesystem::path> files_;  // of a folder
  Index file_ = 0;                            // which of them is open
  TableOptions options_;                      // for the next ones
  bool allow_empty_ = false;
  Index dropped_before_ = 0;
  std::vector<Index> first_lines_ = {0};  // what is added to the numbers of each file
  Index last_line_ = -1;                  // of those that were read
  std::optional<CsvReader> text_;
  std::unique_ptr<Arrays> arrays_;  // where it is no text
  std::vector<std::string> names_;
};

/// A number that looks like a code for "no value": -9999 in a column that else lies between 0 and 40.
struct MissingCode {
  Index column = 0;
  double value = 0;
  Index rows = 0;     ///< that hold it
  double spreads = 0; ///< how far the nearest other value is, in interquartile ranges of the others (in their standard
                      ///< deviations where more than half of them are equal)
};

/// The least and greatest numbers of each column that lie apart from all others: more than 20 spreads where three rows
/// or more hold them, else 10,000. At most four of a column, farthest first; NaN is passed over. Quartiles are those of at
/// most 4,096 rows, evenly taken; fewer than 10 other values say nothing. Cost: O(N D).
std::vector<MissingCode> find_missing_codes(MatrixView<const double> values);
std::vector<MissingCode> find_missing_codes(MatrixView<const float> values);

/// A whole table of numbers from a file of any kind: text, .npy or .npz; "-" is text from standard input. See
/// `TableReader` for what is understood and for the errors; `read_csv` has more options for text.
inline Table read_table(const std::filesystem::path& path, const TableOptions& options = {}) {
  return TableReader(path, options).rest();
}

}  // namespace pushforward
