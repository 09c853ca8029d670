#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <ostream>
#include <pushforward/error.hpp>
#include <pushforward/io/csv.hpp>
#include <utility>

#include "src/io/columns.hpp"
#include "src/io/file.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr std::size_t kBufferSize = std::size_t{1} << 20;
constexpr std::size_t kLongestRecord = std::size_t{1} << 28;
constexpr int kSampledLines = 20;
constexpr std::size_t kSampledBytes = std::size_t{1} << 16;
constexpr Index kFirstBlockValues = 1 << 8;
constexpr Index kBlockValues = 1 << 16;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Whether a decimal number that is out of range for double is so because it is small. `text` is well formed.
bool is_tiny(std::string_view text) {
  const std::size_t e = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, e);
  long exponent = 0;
  if (e != std::string_view::npos) {
    const bool negative = text[e + 1] == '-';
    const std::size_t digits = e + 1 + (negative || text[e + 1] == '+' ? 1 : 0);
    const auto result = std::from_chars(text.data() + digits, text.data() + text.size(), exponent);
    if (result.ec != std::errc()) return negative;  // an exponent beyond long decides alone
    if (negative) exponent = -exponent;
  }
  // Position of the first digit that is not zero, relative to the decimal point.
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  const std::size_t first = mantissa.find_first_of("123456789");
  if (first == std::string_view::npos) return true;
  const double magnitude = static_cast<double>(point) - static_cast<double>(first) + static_cast<double>(exponent);
  return magnitude < 0;
}

// One number at `p`, optional '+' included. Returns the end of it, or null if there is none.
const char* parse_number(const char* p, const char* end, double& value) {
  if (p != end && *p == '+') {
    ++p;
    if (p != end && (*p == '-' || *p == '+')) return nullptr;
  }
  const auto [next, error] = std::from_chars(p, end, value);
  if (error == std::errc::result_out_of_range) {
    const bool negative = *p == '-';
    value = is_tiny({p + negative, static_cast<std::size_t>(next - p) - negative}) ? 0.0 : HUGE_VAL;
    if (negative) value = -value;
  } else if (error != std::errc()) {
    return nullptr;
  }
  return next;
}

std::optional<double> as_number(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  if (text.empty() || parse_number(text.data(), end, value) != end) return std::nullopt;
  return value;
}

struct Field {
  std::string text;
  bool quoted = false;
};

}  // namespace

struct CsvReader::Impl {
  // A record: one line, or several when a quoted field holds line ends. `text` has neither the last '\n' nor the '\r'
  // before it; `next` is the offset from cursor_ where the following record begins.
  struct Record {
    std::string_view text;
    std::size_t next = 0;
    Index line_count = 1;
  };

  Impl(std::string source, CsvOptions options) : source_(std::move(source)), options_(std::move(options)) {}

  // --- bytes ---

  std::size_t available() const { return static_cast<std::size_t>(end_ - cursor_); }

  // Brings more bytes behind end_. Moves cursor_, so views into the buffer end here. False at the end of the file.
  bool refill() {
    if (!file_) return false;
    const std::size_t kept = available();
    if (cursor_ != buffer_.data()) std::memmove(buffer_.data(), cursor_, kept);
    if (kept == buffer_.size()) buffer_.resize(std::max(kBufferSize, buffer_.size() * 2));
    const std::size_t got = file_->read(buffer_.data() + kept, buffer_.size() - kept);
    cursor_ = buffer_.data();
    end_ = cursor_ + kept + got;
    if (got == 0) file_.reset();
    return got != 0;
  }

  // Makes `record` reach to the next line end behind `from` (an offset from cursor_), or to the end of the file.
  // False when there is nothing behind `from`.
  bool find_line_end(Record& record, std::size_t from) {
    std::size_t searched = from;
    for (;;) {
      if (searched < available()) {
        if (const void* hit = std::memchr(cursor_ + searched, '\n', available() - searched)) {
          const auto length = static_cast<std::size_t>(static_cast<const char*>(hit) - cursor_);
          record.text = {cursor_, length > 0 && cursor_[length - 1] == '\r' && length > from ? length - 1 : length};
          record.next = length + 1;
          return true;
        }
        searched = available();
      }
      if (searched > kLongestRecord) {
        throw IoError(fmt::format("{}:{}: line longer than {} MB", source_, line_, kLongestRecord >> 20));
      }
      if (!refill()) break;
    }
    if (available() <= from) return false;
    const std::size_t length = available();
    record.text = {cursor_, cursor_[length - 1] == '\r' ? length - 1 : length};
    record.next = length;
    return true;
  }

  void consume(const Record& record) {
    cursor_ += record.next;
    line_ += record.line_count;
  }

  // --- fields ---

  [[noreturn]] void fail(const std::string& text) const {
    throw IoError(fmt::format("{}:{}: {}", source_, line_, text));
  }

  // Splits a record into fields_, following quoted line ends into the next lines.
  void split(Record& record) {
    fields_.clear();
    const bool by_blanks = delimiter_ == ' ';
    const auto is_padding = [&](char c) { return is_blank(c) && (by_blanks || c != delimiter_); };
    std::size_t i = 0;
    const auto skip_padding = [&] {
      while (i < record.text.size() && is_padding(record.text[i])) ++i;
    };
    const auto at_end = [&] { return i >= record.text.size(); };
    skip_padding();
    for (;;) {
      Field field;
      if (!at_end() && record.text[i] == '"') {
        field.quoted = true;
        ++i;
        for (;;) {
          if (at_end()) {
            const std::size_t next = record.next;
            const std::size_t had = i;
            const bool line_ended = next > 0 && cursor_[next - 1] == '\n';
            if (!line_ended || !find_line_end(record, next)) fail("a quoted field is not closed before the end");
            field.text.append(cursor_ + had, next - had);
            i = next;
            ++record.line_count;
            continue;
          }
          const char c = record.text[i++];
          if (c != '"') {
            field.text += c;
          } else if (!at_end() && record.text[i] == '"') {
            field.text += '"';
            ++i;
          } else {
            break;
          }
        }
        skip_padding();
        const bool spaced = by_blanks && i > 0 && is_blank(record.text[i - 1]);
        if (!at_end() && !spaced && record.text[i] != delimiter_) {
          fail(fmt::format("column {}: unexpected text after the closing quote of {}", fields_.size() + 1,
                           show(field.text)));
        }
      } else {
        const std::size_t begin = i;
        while (!at_end() && !(by_blanks ? is_blank(record.text[i]) : record.text[i] == delimiter_)) ++i;
        field.text = trimmed(record.text.substr(begin, i - begin));
        if (by_blanks) skip_padding();
      }
      fields_.push_back(std::move(field));
      if (at_end()) return;
      if (!by_blanks) {
        ++i;  // the delimiter
        skip_padding();
      }
    }
  }

  // Numbers of a plain record straight from the buffer. False when `split` has to look at it: quotes or an error.
  bool parse_plain(std::string_view record, double* out) const {
    const char* p = record.data();
    const char* const end = p + record.size();
    const bool by_blanks = delimiter_ == ' ';
    const bool by_tabs = delimiter_ == '\t';
    const auto skip_padding = [&] {
      while (p != end && (*p == ' ' || (*p == '\t' && !by_tabs))) ++p;
    };
    const std::size_t count = targets_.size();
    for (std::size_t column = 0; column < count; ++column) {
      skip_padding();
      const char* const begin = p;
      if (targets_[column] >= 0) {
        double value = 0;
        p = parse_number(p, end, value);
        if (p == nullptr || (!std::isfinite(value) && !options_.allow_non_finite)) return false;
        out[targets_[column]] = value;
      } else {
        if (p != end && *p == '"') return false;
        if (by_blanks) {
          while (p != end && !is_blank(*p)) ++p;
          if (p == begin) return false;
        } else {
          const void* hit = p == end ? nullptr : std::memchr(p, delimiter_, static_cast<std::size_t>(end - p));
          p = hit != nullptr ? static_cast<const char*>(hit) : end;
        }
      }
      const char* const number_end = p;
      skip_padding();
      if (column + 1 == count) break;
      if (by_blanks ? p == number_end : p == end || *p++ != delimiter_) return false;
    }
    return p == end;
  }

  void parse_fields(double* out) const {
    const std::size_t count = targets_.size();
    if (fields_.size() != count) {
      fail(fmt::format("expected {} field{}, got {}", count, count == 1 ? "" : "s", fields_.size()));
    }
    for (std::size_t column = 0; column < count; ++column) {
      if (targets_[column] < 0) continue;
      const std::string_view text = trimmed(fields_[column].text);
      const std::optional<double> value = as_number(text);
      const auto fail_here = [&](const std::string& what) {
        fail(fmt::format("column {} ({}): {}", column + 1, show(file_names_[column]), what));
      };
      if (!value) {
        fail_here(text.empty() ? std::string("expected a number, got an empty field")
                               : "expected a number, got " + show(text));
      }
      if (!std::isfinite(*value) && !options_.allow_non_finite) {
        fail_here(fmt::format("expected a finite number, got {}", show(text)));
      }
      out[targets_[column]] = *value;
    }
  }

  // --- opening ---

  void open() {
    const char d = options_.delimiter;
    constexpr std::string_view kPossible = "\t !#$%&'()*,/:;<=>?@[\\]^_`{|}~";
    if (d != '\0' && kPossible.find(d) == std::string_view::npos) {
      throw IoError(fmt::format("{}: {} cannot be the delimiter", source_, show({&d, 1})));
    }
    while (available() < 3 && refill()) {
    }
    const std::string_view start(cursor_, std::min<std::size_t>(available(), 3));
    if (start.substr(0, 2) == "\xff\xfe" || start.substr(0, 2) == "\xfe\xff") {
      throw IoError(source_ + ": the text is in UTF-16; save it as UTF-8");
    }
    if (start == "\xef\xbb\xbf") cursor_ += 3;
    delimiter_ = d == '\0' ? detect_delimiter() : d;

    Record record;
    bool found = false;
    while (!found && find_line_end(record, 0)) {
      found = !trimmed(record.text).empty();
      if (!found) consume({record.text, record.next, 1});
    }
    if (!found) {
      if (!options_.allow_empty) throw IoError(source_ + ": the file is empty");
      select();
      return;
    }
    split(record);
    if (record.text.find('\r') != std::string_view::npos) {
      for (const Field& field : fields_) {
        if (!field.quoted && field.text.find('\r') != std::string::npos) {
          fail("a carriage return without a line feed; convert the line ends");
        }
      }
    }
    has_header_ = options_.header == CsvOptions::Header::yes;
    if (options_.header == CsvOptions::Header::detect) {
      has_header_ = std::any_of(fields_.begin(), fields_.end(), [](const Field& field) {
        const std::string_view text = trimmed(field.text);
        return !text.empty() && !as_number(text);
      });
    }
    for (std::size_t column = 0; column < fields_.size(); ++column) {
      file_names_.push_back(has_header_ ? fields_[column].text : fmt::format("c{}", column));
    }
    select();
    if (has_header_) consume(record);
  }

  char detect_delimiter() {
    // Enough bytes for the same answer however the file arrives.
    for (;;) {
      const auto lines = std::count(cursor_, cursor_ + std::min(available(), kSampledBytes), '\n');
      if (lines >= kSampledLines || available() >= kSampledBytes || !refill()) break;
    }
    constexpr std::array<char, 3> kCandidates = {'\t', ';', ','};
    using Counts = std::array<Index, 4>;  // fields by each candidate and by blanks
    std::vector<Counts> lines;
    Counts counts{};
    bool in_quotes = false, in_word = false, any = false;
    const auto finish_line = [&] {
      for (std::size_t k = 0; k < kCandidates.size(); ++k) ++counts[k];
      if (any) lines.push_back(counts);
      counts = {};
      in_word = any = false;
    };
    const std::string_view sample(cursor_, std::min(available(), kSampledBytes));
    for (const char c : sample) {
      if (c == '\n' && !in_quotes) {
        finish_line();
        if (lines.size() == kSampledLines) break;
        continue;
      }
      if (c == '"') in_quotes = !in_quotes;
      if (!in_quotes) {
        for (std::size_t k = 0; k < kCandidates.size(); ++k) counts[k] += c == kCandidates[k];
      }
      const bool word = in_quotes || !(is_blank(c) || c == '\r');
      if (word && !in_word) ++counts[3];
      any = any || word;
      in_word = word;
    }
    // The last line counts when it is whole, or when there is no other.
    if (lines.empty() || (!file_ && available() <= kSampledBytes)) finish_line();
    if (lines.empty()) return ',';
    const auto consistent = [&](std::size_t k) {
      return lines[0][k] > 1 &&
             std::all_of(lines.begin(), lines.end(), [&](const Counts& c) { return c[k] == lines[0][k]; });
    };
    for (std::size_t k = 0; k < kCandidates.size(); ++k) {
      if (consistent(k)) return kCandidates[k];
    }
    // Tables with faults: the delimiter of most lines, so that the error names the faulty line.
    const auto most = [&](std::size_t k) {
      const auto n = std::count_if(lines.begin(), lines.end(), [&](const Counts& c) { return c[k] > 1; });
      return 2 * static_cast<std::size_t>(n) > lines.size();
    };
    if (consistent(3)) return ' ';
    for (std::size_t k = 0; k < kCandidates.size(); ++k) {
      if (most(k)) return kCandidates[k];
    }
    return most(3) ? ' ' : ',';
  }

  // Column selection: targets_ says where each column of the file goes, -1 for not read.
  void select() {
    std::map<std::string_view, Index> position;
    for (std::size_t i = 0; i < file_names_.size(); ++i) {
      const auto [it, fresh] = position.emplace(file_names_[i], static_cast<Index>(i));
      if (!fresh) {
        fail(fmt::format("columns {} and {} have the same name {}", it->second + 1, i + 1, show(file_names_[i])));
      }
    }
    const std::vector<Index> order = chosen_columns(source_, file_names_, options_.columns, options_.drop);
    targets_.assign(file_names_.size(), -1);
    for (const Index column : order) {
      targets_[static_cast<std::size_t>(column)] = static_cast<Index>(names_.size());
      names_.push_back(file_names_[static_cast<std::size_t>(column)]);
    }
  }

  // --- rows ---

  // Reads rows into blocks_ until there are `max_rows`.
  Index load(Index max_rows) {
    const auto width = static_cast<Index>(names_.size());
    blocks_.clear();
    block_lines_.clear();
    if (width == 0) return 0;
    Index block_values = kFirstBlockValues;
    Index rows = 0, room = 0;
    double* out = nullptr;
    Record record;
    while (rows < max_rows && find_line_end(record, 0)) {
      record.line_count = 1;
      if (room == 0) {
        room = std::min(std::max<Index>(1, block_values / width), max_rows - rows);
        block_values = std::min(2 * block_values, kBlockValues);
        out = blocks_.emplace_back(static_cast<std::size_t>(room * width)).data();
      }
      if (!parse_plain(record.text, out)) {
        if (trimmed(record.text).empty()) {
          if (blank_line_ == 0) blank_line_ = line_;
          consume(record);
          continue;
        }
        split(record);
        parse_fields(out);
      }
      if (blank_line_ != 0 && total_rows_ > 0 && targets_.size() == 1) {
        line_ = blank_line_;
        fail("an empty line between the rows of a one-column table");
      }
      blank_line_ = 0;
      block_lines_.push_back(line_);
      consume(record);
      out += width;
      --room;
      ++rows;
      ++total_rows_;
    }
    if (total_rows_ == 0 && max_rows > 0 && !options_.allow_empty) {
      throw IoError(source_ + ": the file has no rows after the header");
    }
    return rows;
  }

  void unload(MatrixView<double> values, VectorView<Index> lines) {
    for (Index i = 0; i < lines.size(); ++i) lines[i] = block_lines_[static_cast<std::size_t>(i)];
    const Index width = values.cols();
    Index row = 0;
    for (std::vector<double>& block : blocks_) {
      const Index count = std::min(values.rows() - row, static_cast<Index>(block.size()) / width);
      for (Index column = 0; column < width; ++column) {
        for (Index i = 0; i < count; ++i) {
          values(row + i, column) = block[static_cast<std::size_t>(i * width + column)];
        }
      }
      row += count;
      std::vector<double>().swap(block);
    }
    blocks_.clear();
    block_lines_.clear();
  }

  std::string source_;
  CsvOptions options_;
  std::optional<InputFile> file_;  // nothing once it is read to its end
  std::vector<char> buffer_;
  const char* cursor_ = nullptr;
  const char* end_ = nullptr;
  Index line_ = 1;        // of the record at cursor_
  Index blank_line_ = 0;  // first blank line since the last row; 0 for none
  Index total_rows_ = 0;
  char delimiter_ = ',';
  bool has_header_ = false;
  std::vector<Field> fields_;
  std::vector<std::string> file_names_;
  std::vector<std::string> names_;
  std::vector<Index> targets_;
  std::vector<std::vector<double>> blocks_;
  std::vector<Index> block_lines_;
};

CsvReader::CsvReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CsvReader::CsvReader(CsvReader&&) noexcept = default;
CsvReader& CsvReader::operator=(CsvReader&&) noexcept = default;
CsvReader::~CsvReader() = default;

CsvReader::CsvReader(const std::filesystem::path& path, const CsvOptions& options) {
  const bool standard = path == "-";
  impl_ = std::make_unique<Impl>(standard ? "standard input" : path.string(), options);
  impl_->file_.emplace(standard ? InputFile::standard_input() : InputFile(path));
  impl_->buffer_.resize(kBufferSize);
  impl_->cursor_ = impl_->end_ = impl_->buffer_.data();
  impl_->open();
}

CsvReader CsvReader::from_text(std::string_view text, std::string_view source_name, const CsvOptions& options) {
  auto impl = std::make_unique<Impl>(std::string(source_name), options);
  if (text.data() == nullptr) text = "";
  impl->cursor_ = text.data();
  impl->end_ = text.data() + text.size();
  impl->open();
  return CsvReader(std::move(impl));
}

CsvReader::Impl& CsvReader::impl() const {
  if (impl_ == nullptr) throw Error("CsvReader: used after it was moved from");
  return *impl_;
}

const std::vector<std::string>& CsvReader::names() const { return impl().names_; }

Index CsvReader::load(Index max_rows) {
  if (max_rows < 1) throw ShapeError(fmt::format("CsvReader::next: expected max_rows >= 1, got {}", max_rows));
  return impl().load(max_rows);
}

Index CsvReader::load_all() { return impl().load(std::numeric_limits<Index>::max()); }

void CsvReader::unload_into(MatrixView<double> values, VectorView<Index> lines) { impl().unload(values, lines); }

struct CsvWriter::Impl {
  std::optional<AtomicFile> file;
  std::ostream* stream = nullptr;
  std::string where;
  std::string buffer;
  char delimiter = ',';
  Index width = -1;  // not known yet
  bool done = false;

  void begin(const std::vector<std::string>& names) {
    if (delimiter != ',' && delimiter != ';' && delimiter != '\t') {
      throw IoError(fmt::format("{}: expected ',', ';' or tab as delimiter, got {}", where, show({&delimiter, 1})));
    }
    if (names.empty()) return;
    width = static_cast<Index>(names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (i > 0) buffer += delimiter;
      const std::string& name = names[i];
      const bool plain = !name.empty() && name.find_first_of("\"\r\n,;\t") == std::string::npos &&
                         name.find(delimiter) == std::string::npos && trimmed(name) == name;
      if (plain) {
        buffer += name;
        continue;
      }
      buffer += '"';
      for (const char c : name) {
        if (c == '"') buffer += '"';
        buffer += c;
      }
      buffer += '"';
    }
    buffer += '\n';
  }

  void flush() {
    if (stream != nullptr) {
      stream->write(buffer.data(), static_cast<std::streamsize>(buffer.size()));
      if (!*stream) throw IoError(where + ": cannot write: the stream is in a failed state");
    } else {
      file->write(buffer.data(), buffer.size());
    }
    buffer.clear();
  }

  template <class T>
  void write(MatrixView<const T> rows) {
    if (done) throw Error("CsvWriter::write: the file is finished");
    if (width < 0) width = rows.cols();
    if (rows.cols() != width) {
      throw ShapeError(
          fmt::format("CsvWriter::write: expected (N, {}), got ({}, {})", width, rows.rows(), rows.cols()));
    }
    constexpr std::size_t kLongestNumber = 32;  // shortest form of a double: at most 24
    for (Index i = 0; i < rows.rows(); ++i) {
      for (Index j = 0; j < width; ++j) {
        char number[kLongestNumber];
        // The sign of a NaN says nothing.
        const T value = std::isnan(rows(i, j)) ? std::numeric_limits<T>::quiet_NaN() : rows(i, j);
        const auto result = std::to_chars(number, number + kLongestNumber, value);
        buffer.append(number, result.ptr);
        buffer += delimiter;
      }
      if (width == 0) buffer += delimiter;
      buffer.back() = '\n';
      if (buffer.size() >= kBufferSize) flush();
    }
  }

  void commit() {
    if (done) throw Error("CsvWriter::commit: the file is finished");
    done = true;
    flush();
    if (stream != nullptr) {
      stream->flush();
      if (!*stream) throw IoError(where + ": cannot write: the stream is in a failed state");
    } else {
      file->commit();
    }
  }
};

CsvWriter::CsvWriter(const std::filesystem::path& path, const std::vector<std::string>& names, char delimiter)
    : impl_(std::make_unique<Impl>()) {
  const bool standard = path == "-";
  impl_->where = standard ? "standard output" : path.string();
  impl_->delimiter = delimiter;
  impl_->begin(names);
  impl_->file.emplace(standard ? AtomicFile::standard_output() : AtomicFile(path));
}

CsvWriter::CsvWriter(std::ostream& stream, const std::vector<std::string>& names, char delimiter)
    : impl_(std::make_unique<Impl>()) {
  impl_->where = "stream";
  impl_->stream = &stream;
  impl_->delimiter = delimiter;
  impl_->begin(names);
}

CsvWriter::CsvWriter(CsvWriter&&) noexcept = default;
CsvWriter& CsvWriter::operator=(CsvWriter&&) noexcept = default;
CsvWriter::~CsvWriter() = default;

CsvWriter::Impl& CsvWriter::impl() const {
  if (impl_ == nullptr) throw Error("CsvWriter: used after it was moved from");
  return *impl_;
}

void CsvWriter::write(MatrixView<const double> rows) { impl().write(rows); }
void CsvWriter::write(MatrixView<const float> rows) { impl().write(rows); }
void CsvWriter::commit() { impl().commit(); }

}  // namespace pushforward
