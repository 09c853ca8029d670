#pragma once

// What the subcommands share.

#include <cmath>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <pushforward/pushforward.hpp>

namespace tool {

namespace pf = pushforward;
using pf::Index;
using Json = nlohmann::ordered_json;

/// The command line asks for something that cannot be: exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The user stopped a command: exit status 130. The text says what there is of its work.
struct Interrupted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Rows that are read, scored and written at a time.
inline constexpr Index chunk_rows = 65536;

// Each adds its subcommand, which runs when it is parsed.
void add_fit(CLI::App& app);
void add_sample(CLI::App& app);
void add_compare(CLI::App& app);
void add_check(CLI::App& app);
void add_log_prob(CLI::App& app);
void add_info(CLI::App& app);
void add_plot(CLI::App& app);
void add_export(CLI::App& app);
/// What describes all the others, for a page of the manual and for completion in a shell.
void add_manual(CLI::App& app);

// -------------------------------------------------------------------------------------------------- command line

/// A file that a command reads or writes, and what the user calls it: "--out".
struct NamedFile {
  std::string name, path;  ///< empty path: not given; "-": standard input or output
};
/// Refuses an output that is one of the inputs, or another output: by whatever names, links among them.
void refuse_overwriting(const std::vector<NamedFile>& inputs, const std::vector<NamedFile>& outputs);
/// For options that take the name of a file.
CLI::Validator file_name();
/// A whole number in [low, high], for `transform`: 1e3 is one too.
CLI::Validator whole_number(std::uint64_t low, std::uint64_t high);
/// All seeds there are.
CLI::Validator seed_number();
/// A number in a range that `range` describes: "above 0". A NaN is within none.
CLI::Validator number(const char* range, double low, double high, bool without_low, bool without_high);
/// One of these words. Completion reads them in its description.
CLI::Validator one_of(const std::vector<std::string>& words);
inline constexpr const char* one_of_name = "one of";
/// " (did you mean 'maf'?)", if one of `known` differs from `word` by a letter in three at most.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);
/// Those that are for users.
std::vector<std::string> command_names(const CLI::App& app);
/// What is wrong with the command line, the first thing first.
std::string explain(const CLI::App& app, const CLI::ParseError& error);
/// Options out of a TOML file: `--config run.toml` beside a command. What the command line gives counts.
void add_config(CLI::App& app);
/// An option that may be given several times, which adds up.
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                      const std::string& description);
/// The parts of lists, each with commas: "a,b" and "c".
std::vector<std::string> split_lists(const std::vector<std::string>& lists);
/// Refuses what is given several times and takes one value. Called when the command line is parsed.
void refuse_repeated(const CLI::App& app);

// ---------------------------------------------------------------------------------------------------------- text

/// The parts of "a,b,c", without blanks around them; none for an empty text.
std::vector<std::string> split_list(std::string_view text, char delimiter = ',');
/// A number, "inf" and "-inf" included; nothing if the text is something else.
std::optional<double> to_number(std::string_view text);
/// "17,898"
std::string grouped(Index n);
/// "1 row", "17,898 rows"
std::string counted(Index n, std::string_view singular);
/// "-4.317 ± 0.021": as many digits as the error deserves.
std::string with_error(double value, double error);
/// "12 s", "3.4 min", "2.1 h"
std::string duration(double seconds);
std::string joined(const std::vector<std::string>& items, std::string_view separator = ", ");

/// Text of a file that somebody else wrote, as a terminal may have it: what would move its cursor or fake a line is
/// spelled out.
std::string printable(const std::string& text);

Json to_json(const pf::MeanLogLikelihood& mean);
/// One JSON object on standard output. Numbers that are not finite become null.
void print_json(const Json& json);

// --------------------------------------------------------------------------------------------------------- models

/// A model for scoring, with names for all its columns.
struct LoadedModel {
  std::string path;
  pf::Poly<pf::Distribution<double>> distribution;
  pf::ModelInfo info;
  std::vector<std::string> columns;          ///< one for each of dim(): "c0", "c1", ... where the file has no names
  std::vector<std::string> context_columns;  ///< one for each of context_dim()

  Index dim() const { return distribution->dim(); }
  Index context_dim() const { return distribution->context_dim(); }
  /// The last columns of a table that was read for the model; none where it takes no context.
  pf::MatrixView<const double> context_of(const pf::Table& table) const {
    if (context_dim() == 0) return {};
    return table.values.rightCols(context_dim());
  }
};
LoadedModel load_model(const std::string& path);
/// The numbers of the columns that --columns names.
/// @throws UsageError  for what is none of the model's.
std::vector<Index> columns_named(const std::vector<std::string>& names, const LoadedModel& model);
/// "2000 lies outside the training range [10, 40]"
std::string outside_text(double value, const pf::ModelInfo::Range& range);

// ----------------------------------------------------------------------------------------------------------- data

/// A table of numbers in a file, read in chunks: `pf::TableReader`, with the names that a model has for the columns.
class DataReader {
 public:
  DataReader(const std::string& path, pf::TableOptions options);
  /// The columns of the model and then those of its context, by name. A file without names may have exactly these.
  static DataReader for_model(const std::string& path, const LoadedModel& model, const pf::TableOptions& how);
  /// Some columns of the model only, by name.
  static DataReader for_columns(const std::string& path, const std::vector<std::string>& columns,
                                const pf::TableOptions& how);
  /// The context columns of the model only.
  static DataReader for_context(const std::string& path, const LoadedModel& model, const pf::TableOptions& how);

  const std::vector<std::string>& names() const { return names_; }
  /// Puts the next rows in place of what `chunk` held. False when there was none left.
  bool next(pf::Table& chunk, Index max_rows);
  pf::Table rest();
  /// Where a row of a chunk stands: "data.csv:17", "data.npy: row 16".
  std::string where(const pf::Table& chunk, Index row) const { return reader_->where(chunk, row); }
  std::string where(Index line) const { return reader_->where(line); }
  /// Short, for lists of rows of the table: "line 17"; of a folder "part-2.csv:17".
  std::string place(Index line) const;
  /// For rows that were read in pieces.
  void note_codes(const std::vector<pf::MissingCode>& codes, const std::vector<std::string>& names, Index rows);
  /// What was guessed, to be told; after `rest` also numbers that look like codes for missing values.
  std::vector<std::string> notes() const;
  Index dropped_rows() const { return reader_->dropped_rows(); }

 private:
  static pf::Notice in_words_of_the_tool(const pf::Notice& notice);
  static DataReader named_or_in_order(const std::string& path, std::vector<std::string> wanted,
                                      const pf::TableOptions& how);

  std::optional<pf::TableReader> reader_;
  std::string folder_;  // empty: a file
  std::vector<std::string> names_, codes_;
};

/// "leave them out with --drop 'a,b' --missing drop": what to add to the command, as a shell takes it. At least one setting.
std::string leave_out_with(const std::vector<std::pair<std::string, std::string>>& settings);

/// Options of how text is read, as the command line has them.
struct TextSettings {
  std::string header, delimiter, decimal, thousands, comment = "#";
  std::vector<std::string> missing_values;
};
void add_text_options(CLI::App& sub, TextSettings& s, const std::string& group);
/// @throws UsageError  for what is no header, delimiter, ...
pf::TableOptions table_options(const TextSettings& s, const std::string& array);

/// @throws UsageError  for the name of an output of a kind that is only read: .npz, .gz
void refuse_unwritten(const std::string& path);
/// Rows to a file that appears when it is complete: .npy by extension, else CSV; "-" is CSV on standard output.
class RowWriter {
 public:
  RowWriter(const std::string& path, const std::vector<std::string>& names, Index rows);
  void write(pf::MatrixView<const double> rows);
  void commit();

 private:
  std::optional<pf::CsvWriter> csv_;
  std::optional<pf::NpyWriter> npy_;
};

/// Lower-case extension with its dot.
std::string extension(const std::filesystem::path& path);

/// Mean and its standard error, fed in pieces.
class RunningMean {
 public:
  void add(double value, double weight = 1);
  double mean() const { return weight_ > 0 ? mean_ : std::numeric_limits<double>::quiet_NaN(); }
  double standard_error() const;
  Index count() const { return count_; }

 private:
  Index count_ = 0;
  double weight_ = 0;
  double mean_ = 0;
  // Sums of w^2, w^2 (x - mean) and w^2 (x - mean)^2 about the current mean.
  double s0_ = 0, s1_ = 0, s2_ = 0;
};

/// Log-likelihoods of many rows, of which some may be -inf.
struct LogLikelihood {
  RunningMean inside;  ///< rows of positive density
  Index zero = 0;      ///< rows of density 0
  void add(double value) {
    if (value == -std::numeric_limits<double>::infinity())
      ++zero;
    else
      inside.add(value);
  }
  double mean() const { return zero > 0 ? -std::numeric_limits<double>::infinity() : inside.mean(); }
};

/// All that the machine has, if `threads` is 0.
int thread_count(int threads);

}  // namespace tool
