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
/// Text is read as it is asked for, and so are the rows of a .npy file: memory does not grow with the file. Packed arrays,
/// archives and arrays from pipes are read whole when they are opened.
///
/// Errors are those of `CsvReader`, `read_npy` and `NpzFile`. IoError besides, always with the file: an extension that
/// says nothing, an array of more than two axes, several arrays of which none is chosen (the notice's option is
/// "array"), `array` for what is no archive, a column that is not there or named twice, no column or no row left; and in
/// arrays a value that is not finite, with all columns that have such, when its row is read.
/// ShapeError for `max_rows` below 1.
class TableReader {
 public:
  /// Opens the file ("-": text from standard input) and reads the names of its columns.
  explicit TableReader(const std::filesystem::path& path, const TableOptions& options = {});
  TableReader(TableReader&&) noexcept;
  TableReader& operator=(TableReader&&) noexcept;
  ~TableReader();

  /// The D columns that are read, in their order.
  const std::vector<std::string>& names() const { return text_ ? text_->names() : names_; }
  /// As of `CsvReader`; of arrays none.
  std::vector<std::string> notes() const { return text_ ? text_->notes() : std::vector<std::string>(); }
  /// Rows that were left out so far for want of a value.
  Index dropped_rows() const { return text_ ? text_->dropped_rows() : dropped_array_rows(); }

  /// Puts the next rows, at most `max_rows`, in place of what `chunk` held. False when there was none left.
  bool next(Table& chunk, Index max_rows) {
    if (text_) return text_->next(chunk, max_rows);
    take(chunk, checked_rows(max_rows));
    return chunk.values.rows() > 0;
  }

  /// All remaining rows.
  Table rest() {
    if (text_) return text_->rest();
    Table table;
    take(table, rows_left());
    return table;
  }

  /// Where row `row` of `chunk` stands: "x.csv:17", "x.npy: row 16 (from 0)".
  std::string where(const Table& chunk, Index row) const;

 private:
  struct Arrays;
  Index dropped_array_rows() const;
  Index rows_left() const;
  Index checked_rows(Index max_rows) const;
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
