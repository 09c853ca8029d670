#include <algorithm>
#include <cstdio>
#include <limits>
#include <thread>

#include "src/io/numbers.hpp"
#include "tools/tool.hpp"

namespace tool {

// ------------------------------------------------------------------------------------------------------------ text

std::vector<std::string> split_list(std::string_view text, char delimiter) {
  std::vector<std::string> parts;
  if (text.empty()) return parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(delimiter, begin);
    std::string_view part = text.substr(begin, end == text.npos ? text.npos : end - begin);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    parts.emplace_back(part);
    if (end == text.npos) return parts;
    begin = end + 1;
  }
}

std::optional<double> to_number(std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const auto value = pf::detail::as_number(text);
  if (!value || std::isnan(*value)) return std::nullopt;
  // Digits beyond the range of double are no number here.
  if (std::isinf(*value) && text.find_first_of("0123456789") != text.npos) return std::nullopt;
  return value;
}

std::string grouped(Index n) {
  std::string digits = std::to_string(n);
  for (Index at = static_cast<Index>(digits.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

std::string counted(Index n, std::string_view singular) {
  return fmt::format("{} {}{}", grouped(n), singular, n == 1 ? "" : "s");
}

std::string with_error(double value, double error) {
  if (std::isnan(value)) return "nan";  // without the sign that arithmetic gave it
  if (!std::isfinite(value)) return fmt::format("{}", value);
  if (!std::isfinite(error) || error <= 1e-9 * std::abs(value)) return fmt::format("{:.6g}", value);
  if (std::max(std::abs(value), error) >= 1e7) return fmt::format("{:.6g} ± {:.2g}", value, error);
  // Two significant digits of the error.
  const int decimals = std::clamp(1 - static_cast<int>(std::floor(std::log10(error))), 0, 12);
  return fmt::format("{:.{}f} ± {:.{}f}", value, decimals, error, decimals);
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "unknown time";
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.1f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string joined(const std::vector<std::string>& items, std::string_view separator) {
  std::string text;
  for (const std::string& item : items) text.append(text.empty() ? "" : separator).append(item);
  return text;
}

std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? fmt::format("\\x{:02x}", static_cast<unsigned char>(c))
                                                             : std::string(1, c);
  return out;
}

Json to_json(const pf::MeanLogLikelihood& mean) {
  return {{"mean", mean.mean}, {"standard_error", mean.standard_error}};
}

void print_json(const Json& json) {
  // Names of columns may be any bytes.
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

// ---------------------------------------------------------------------------------------------------------- models

namespace {

std::vector<std::string> numbered(Index count, const char* prefix = "c") {
  std::vector<std::string> names;
  for (Index i = 0; i < count; ++i) names.push_back(fmt::format("{}{}", prefix, i));
  return names;
}

}  // namespace

std::vector<Index> columns_named(const std::vector<std::string>& names, const LoadedModel& model) {
  std::vector<Index> columns;
  for (const std::string& name : names) {
    const auto found = std::find(model.columns.begin(), model.columns.end(), name);
    if (found == model.columns.end())
      throw UsageError(fmt::format("--columns: the model has no column '{}'; it has {}", name, joined(model.columns)));
    columns.push_back(found - model.columns.begin());
  }
  return columns;
}

std::string outside_text(double value, const pf::ModelInfo::Range& range) {
  return fmt::format("{:.9g} lies outside the training range [{:.9g}, {:.9g}]", value, range.low, range.high);
}

LoadedModel load_model(const std::string& path) {
  pf::Model<double> model = pf::load<double>(path);
  LoadedModel loaded{path, std::move(model.distribution), std::move(model.info), {}, {}};
  const auto check = [&](const char* what, std::size_t got, Index expected) {
    if (got != 0 && static_cast<Index>(got) != expected)
      throw pf::IoError(fmt::format("{}: {}: expected {} entries, got {}", path, what, expected, got));
  };
  check("columns", loaded.info.columns.size(), loaded.dim());
  check("context_columns", loaded.info.context_columns.size(), loaded.context_dim());
  check("data_range", loaded.info.data_range.size(), loaded.dim());
  check("context_range", loaded.info.context_range.size(), loaded.context_dim());
  loaded.columns = loaded.info.columns.empty() ? numbered(loaded.dim()) : loaded.info.columns;
  loaded.context_columns = loaded.info.context_columns.empty() ? numbered(loaded.context_dim(), "context")
                                                               : loaded.info.context_columns;
  return loaded;
}

// ------------------------------------------------------------------------------------------------------------ data

std::string extension(const std::filesystem::path& path) {
  std::string text = path.extension().string();
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c; });
  return text;
}

DataReader::DataReader(const std::string& path, pf::TableOptions options) {
  // A temporary file may have any name: what no extension tells is text.
  if (std::filesystem::is_directory(path)) folder_ = path;
  else options.format = pf::table_format(path).value_or(pf::TableFormat::text);
  if (!options.array.empty() && folder_.empty() && options.format != pf::TableFormat::npz)
    throw UsageError("--array: is for .npz files, not for " + path);
  try {
    reader_.emplace(path, options);
  } catch (const pf::IoError& error) {
    throw pf::IoError(in_words_of_the_tool(error.notice()));
  }
  names_ = reader_->names();
}

namespace {

/// As a shell takes it.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

std::string leave_out_with(const std::vector<std::pair<std::string, std::string>>& settings) {
  std::string options;
  for (const auto& [option, value] : settings)
    options += fmt::format(" --{} {}", option, option == "missing" ? value : quoted(value));
  const std::string& first = settings.front().first;
  if (first == "drop")
    return (settings.size() > 1 || settings[0].second.find(',') != std::string::npos ? "leave them out with"
                                                                                     : "leave it out with") +
           options;
  if (settings.size() > 1) return "read it with" + options;
  return options.substr(1) + (first == "missing" ? " leaves rows out that miss a value" : " reads them");
}

namespace {

std::string in_words(const pf::MissingCode& code, const std::vector<std::string>& names, Index rows) {
  const std::string value = fmt::format("{}", code.value);
  const std::string times = code.spreads < 1e6 ? grouped(std::lround(code.spreads)) : fmt::format("{:.2g}", code.spreads);
  return fmt::format("column '{}': {} in {} of {}, {} times the spread of the others away from them: a code for a "
                     "missing value? --missing drop --missing-value {} takes it for one",
                     names[static_cast<std::size_t>(code.column)], value, grouped(code.rows),
                     counted(rows, "row"), times, value);
}

}  // namespace

pf::Notice DataReader::in_words_of_the_tool(const pf::Notice& notice) {
  pf::Notice told = notice;
  if (notice.option == "array") told.way_out = "; choose one with --array";
  if (notice.option == "decimal commas") told.way_out = "; if these are decimal commas: --decimal , --delimiter ';'";
  if (notice.option == "decimal") told.way_out = "; say --decimal , or --thousands ,";
  if (!notice.settings.empty()) told.way_out = "; " + leave_out_with(notice.settings);
  return told;
}

void add_text_options(CLI::App& sub, TextSettings& s, const std::string& group) {
  sub.add_option("--header", s.header, "The first line of a text holds the names: yes, no; by itself it is guessed and said")
      ->check(one_of({"yes", "no"}))
      ->group(group)
      ->option_text("yes|no");
  sub.add_option("--delimiter", s.delimiter, "Between fields: a character, tab, or space for any blanks")
      ->group(group)
      ->option_text("C (found)");
  sub.add_option("--decimal", s.decimal, "Decimal point: . or ,")
      ->check(one_of({".", ","}))
      ->group(group)
      ->option_text("C (found)");
  sub.add_option("--thousands", s.thousands, "By what thousands are separated: , . ' _ or space")
      ->group(group)
      ->option_text("C (none)");
  add_list(sub, "--missing-value", s.missing_values, "Values that count as missing: -9999, unknown; also of arrays")
      ->group(group)
      ->option_text("V,... (empty, NA, ...)");
  sub.add_option("--comment", s.comment, "Lines that begin with it are left out; none: there are no such lines")
      ->group(group)
      ->option_text("C (#)");
}

pf::TableOptions table_options(const TextSettings& s, const std::string& array) {
  pf::TableOptions options{.array = array};
  if (!s.header.empty()) options.header = s.header == "yes" ? pf::CsvOptions::Header::yes : pf::CsvOptions::Header::no;
  const auto character = [](const char* option, const std::string& text) {
    if (text.size() != 1) throw UsageError(fmt::format("{}: expected one character, got '{}'", option, text));
    return text.front();
  };
  if (!s.delimiter.empty())
    options.delimiter = s.delimiter == "tab" ? '\t' : s.delimiter == "space" ? ' ' : character("--delimiter", s.delimiter);
  if (!s.decimal.empty()) options.decimal = s.decimal.front();
  if (!s.thousands.empty())
    options.thousands = s.thousands == "space" ? ' ' : character("--thousands", s.thousands);
  options.missing_values = split_lists(s.missing_values);
  options.comment = s.comment == "none" ? '\0' : character("--comment", s.comment);
  return options;
}

DataReader DataReader::named_or_in_order(const std::string& path, std::vector<std::string> wanted,
                                         const pf::TableOptions& how) {
  pf::TableOptions by_name = how;
  by_name.columns = wanted;
  // Standard input can be opened only once: its columns must have names.
  if (path == "-") return DataReader(path, by_name);
  DataReader all(path, how);
  if (all.names_ == wanted) return all;
  const auto count = static_cast<Index>(all.names_.size());
  const bool known = std::all_of(wanted.begin(), wanted.end(), [&](const std::string& name) {
    return std::find(all.names_.begin(), all.names_.end(), name) != all.names_.end();
  });
  if (!known && all.names_ == numbered(count)) {
    if (count != static_cast<Index>(wanted.size()))
      throw pf::IoError(fmt::format("{}: has {} without names, and the model takes {}: {}", path,
                                    counted(count, "column"), wanted.size(), joined(wanted)));
    all.names_ = std::move(wanted);
    return all;
  }
  all.reader_.reset();  // and with it the arrays, which are read again
  return DataReader(path, by_name);
}

DataReader DataReader::for_model(const std::string& path, const LoadedModel& model, const pf::TableOptions& how) {
  std::vector<std::string> wanted = model.columns;
  wanted.insert(wanted.end(), model.context_columns.begin(), model.context_columns.end());
  return named_or_in_order(path, std::move(wanted), how);
}

DataReader DataReader::for_columns(const std::string& path, const std::vector<std::string>& columns,
                                   const pf::TableOptions& how) {
  return named_or_in_order(path, columns, how);
}

DataReader DataReader::for_context(const std::string& path, const LoadedModel& model, const pf::TableOptions& how) {
  return named_or_in_order(path, model.context_columns, how);
}

bool DataReader::next(pf::Table& chunk, Index max_rows) {
  bool any = false;
  try {
    any = reader_->next(chunk, max_rows);
  } catch (const pf::IoError& error) {
    throw pf::IoError(in_words_of_the_tool(error.notice()));
  }
  chunk.names = names_;
  return any;
}

pf::Table DataReader::rest() {
  try {
    pf::Table table = reader_->rest();
    table.names = names_;
    note_codes(pf::find_missing_codes(table.values), names_, table.values.rows());
    return table;
  } catch (const pf::IoError& error) {
    throw pf::IoError(in_words_of_the_tool(error.notice()));
  }
}

void DataReader::note_codes(const std::vector<pf::MissingCode>& codes, const std::vector<std::string>& names, Index rows) {
  for (const pf::MissingCode& code : codes) codes_.push_back(in_words(code, names, rows));
}

void refuse_unwritten(const std::string& path) {
  if (extension(path) == ".npz") throw UsageError("--out: " + path + ": archives are not written; take .npy or .csv");
  if (extension(path) == ".gz")
    throw UsageError("--out: " + path + ": nothing is written packed; take .npy or .csv, or --out - and gzip");
}

std::string DataReader::place(Index line) const {
  if (folder_.empty()) return fmt::format("line {}", line);
  return reader_->where(line).substr((std::filesystem::path(folder_) / "").string().size());
}

std::vector<std::string> DataReader::notes() const {
  std::vector<std::string> notes = reader_->notes();
  notes.insert(notes.end(), codes_.begin(), codes_.end());
  return notes;
}

RowWriter::RowWriter(const std::string& path, const std::vector<std::string>& names, Index rows) {
  refuse_unwritten(path);
  if (extension(path) == ".npy")
    npy_.emplace(path, rows, static_cast<Index>(names.size()));
  else
    csv_.emplace(path, names);
}

void RowWriter::write(pf::MatrixView<const double> rows) {
  if (csv_)
    csv_->write(rows);
  else
    npy_->write(rows);
}

void RowWriter::commit() {
  if (csv_)
    csv_->commit();
  else
    npy_->commit();
}

void RunningMean::add(double value, double weight) {
  if (weight <= 0) return;
  ++count_;
  weight_ += weight;
  const double shift = (value - mean_) * (weight / weight_);
  mean_ += shift;
  s2_ += shift * (shift * s0_ - 2 * s1_);
  s1_ -= shift * s0_;
  const double w2 = weight * weight, d = value - mean_;
  s0_ += w2;
  s1_ += w2 * d;
  s2_ += w2 * d * d;
}

double RunningMean::standard_error() const {
  if (count_ < 2) return std::numeric_limits<double>::quiet_NaN();
  const double n = static_cast<double>(count_);
  return std::sqrt(std::max(s2_, 0.0) * n / (n - 1)) / weight_;
}

int thread_count(int threads) {
  if (threads > 0) return threads;
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 1024u));
}

}  // namespace tool
