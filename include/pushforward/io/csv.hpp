#pragma once

#include <filesystem>
#include <iosfwd>
#include <memory>
#include <pushforward/views.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace pushforward {

/// A table of numbers as read from a file.
struct Table {
  /// One name per column; "c0", "c1", ... for text without a header and for matrices of NumPy.
  std::vector<std::string> names;
  /// (N, D): one row per line, one column per name.
  Matrix<double> values;
  /// N line numbers, from 1: where each row begins in the text. Of arrays the numbers of the rows, from 0. Of a folder of
  /// files they go on from file to file (`TableReader::where`).
  std::vector<Index> lines;
};

/// How `read_csv`, `parse_csv` and `CsvReader` understand the text.
struct CsvOptions {
  enum class Header {
    /// The first row is a header when one of its fields is neither missing nor a number and none has decimals, or when
    /// its fields are whole numbers that rise and those below have decimals.
    detect,
    yes,
    no,
  };
  Header header = Header::detect;
  /// '\0': found from the first lines among tab, ';', ',' and blanks. ' ': any run of spaces and tabs.
  char delimiter = '\0';
  /// Names of the columns to read, in the order wanted; empty: all.
  std::vector<std::string> columns{};
  /// Names of columns to leave out. Columns that are not read may hold any text.
  std::vector<std::string> drop{};
  /// Lets "nan" and "inf" through. Otherwise they are errors, like empty fields and other text.
  bool allow_non_finite = false;
  /// Lets files without rows through. A file without even a header gives a 0 x 0 table.
  bool allow_empty = false;
  /// '.' or ','. '\0': found; ',' where the delimiter is another and fields of the first lines are numbers by it alone.
  /// Where commas there may as well separate thousands ("1,234"), that is an error, whose option is "decimal".
  char decimal = '\0';
  /// Lines that begin with it, after blanks, are left out; the last one before the first row may hold the names.
  /// '\0': none.
  char comment = '#';
  /// Fields that are empty, or "NA", "N/A", "NaN", "null", "None", "nil", "?", "-", "#N/A", "<NA>" in any case of letters.
  enum class Missing {
    error,
    drop,   ///< rows that miss a value which is read are left out, and counted
    as_nan  ///< they are NaN
  };
  Missing missing = Missing::error;
  /// Further fields that are missing values: numbers by their value ("-9999"), others by their text ("unknown").
  std::vector<std::string> missing_values{};
  /// By what thousands are separated: ',', '.' (then the decimal point is ','), ' ' (any blank, no-break spaces too), '\'' or
  /// '_'. '\0': by nothing, "1,234" is no number, and the error's option is "thousands".
  char thousands = '\0';
};

/// Reads delimited text in chunks of rows: memory does not grow with the file. What gzip packed (RFC 1952; known by its
/// first bytes) is unpacked as it is read.
///
/// Understands quoted fields (RFC 4180), CR LF and CR, a byte order mark, blanks around fields, blank lines before, between
/// and after rows (between rows not in a one-column table, where one would be a missing value), a last line without
/// its end. Numbers are read the same in every locale, correctly rounded; numbers too small for double become 0.
/// Columns without a name at the end whose first row is empty there are no columns. A first column without a name, or one
/// for which the header has no field, that counts the rows or names them is left out. What was guessed is in `notes`.
///
/// Errors are IoError with file, line and column: `file.csv:17: column 3 ("width"): expected a number, got "abc"`. Where it
/// is not alone, all columns with text, with missing values and with thousands that are separated follow, with the numbers of
/// their rows. The notice's settings are the options that are the way out together: "drop", "missing", "thousands".
class CsvReader {
 public:
  /// Opens the file ("-": standard input) and reads the header.
  explicit CsvReader(const std::filesystem::path& path, const CsvOptions& options = {});
  /// Reads text in memory, which must live as long as the reader. `source_name` stands for the file in errors.
  static CsvReader from_text(std::string_view text, std::string_view source_name, const CsvOptions& options = {});
  CsvReader(CsvReader&&) noexcept;
  CsvReader& operator=(CsvReader&&) noexcept;
  ~CsvReader();

  /// The D columns that are read, in their order.
  const std::vector<std::string>& names() const;
  /// What was not given and was found otherwise than usual, and what is left out: "the first line is taken for names ...".
  const std::vector<std::string>& notes() const;
  /// Rows that were left out so far for want of a value.
  Index dropped_rows() const;

  /// Puts the next rows, at most `max_rows`, in place of what `chunk` held. False when there was none left.
  bool next(Table& chunk, Index max_rows) {
    const Index rows = load(max_rows);
    unload_to(chunk, rows);
    return rows > 0;
  }

  /// All remaining rows.
  Table rest() {
    Table table;
    unload_to(table, load_all());
    return table;
  }

 private:
  struct Impl;
  explicit CsvReader(std::unique_ptr<Impl> impl);
  Impl& impl() const;
  // The matrix is allocated here, in the caller's code: no Eigen-owned memory crosses the library.
  void unload_to(Table& table, Index rows) {
    table.names = names();
    table.values.resize(rows, static_cast<Index>(table.names.size()));
    table.lines.resize(static_cast<std::size_t>(rows));
    unload_into(table.values, VectorView<Index>(table.lines));
  }
  Index load(Index max_rows);
  Index load_all();
  void unload_into(MatrixView<double> values, VectorView<Index> lines);

  std::unique_ptr<Impl> impl_;
};

/// A whole file; "-" is standard input. See `CsvReader` for what is understood and for the errors.
inline Table read_csv(const std::filesystem::path& path, const CsvOptions& options = {}) {
  return CsvReader(path, options).rest();
}

/// The same for text in memory; `source_name` stands for the file in errors.
inline Table parse_csv(std::string_view text, std::string_view source_name = "text", const CsvOptions& options = {}) {
  return CsvReader::from_text(text, source_name, options).rest();
}

/// Writes delimited text in pieces. Numbers take the shortest form that reads back as the same number.
///
/// A file appears under its name only with `commit`, complete and on the disk; without it (an exception, say) nothing
/// is left behind and an older file of that name stays as it was. Errors: IoError; ShapeError for a wrong column count.
class CsvWriter {
 public:
  /// `names` become the header, quoted where needed; with no names there is no header and the first `write` sets the
  /// number of columns. "-" is standard output. `delimiter`: ',', ';' or tab.
  CsvWriter(const std::filesystem::path& path, const std::vector<std::string>& names, char delimiter = ',');
  /// Writes to a stream, which must live until `commit`.
  CsvWriter(std::ostream& stream, const std::vector<std::string>& names, char delimiter = ',');
  CsvWriter(CsvWriter&&) noexcept;
  CsvWriter& operator=(CsvWriter&&) noexcept;
  ~CsvWriter();

  /// Appends rows: (n, D).
  void write(MatrixView<const double> rows);
  void write(MatrixView<const float> rows);
  /// Finishes the file: flush, synchronise with the disk, rename. Nothing can be written afterwards.
  void commit();

 private:
  struct Impl;
  Impl& impl() const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pushforward
