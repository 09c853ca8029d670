#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <pushforward/error.hpp>
#include <pushforward/io/csv.hpp>
#include <utility>

#include "src/io/columns.hpp"
#include "src/io/file.hpp"
#include "src/io/inflate.hpp"
#include "src/io/numbers.hpp"
#include "src/io/text.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr std::size_t kLongestRecord = std::size_t{1} << 28;
constexpr int kSampledLines = 20;
constexpr std::size_t kSampledBytes = std::size_t{1} << 16;
constexpr Index kFirstBlockValues = 1 << 8;
// Blocks of 32 MB and more get pages of their own from the system and give them back when they go: so a table is never in
// memory twice.
constexpr Index kBlockValues = 1 << 22;

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
    if (!read_) return false;
    const std::size_t kept = available();
    if (cursor_ != buffer_.data()) std::memmove(buffer_.data(), cursor_, kept);
    if (kept == buffer_.size()) buffer_.resize(std::max(kBufferSize, buffer_.size() * 2));
    cursor_ = buffer_.data();
    end_ = cursor_ + kept;  // also where reading fails
    const std::size_t got = read_(buffer_.data() + kept, buffer_.size() - kept);
    end_ += got;
    if (got == 0) read_ = nullptr;
    if (ends_with_returns_) make_line_ends(end_ - got);
    return got != 0;
  }

  /// Text whose lines end with carriage returns alone is read as if they were line feeds.
  void make_line_ends(const char* from) {
    std::replace(buffer_.data() + (from - buffer_.data()), buffer_.data() + (end_ - buffer_.data()), '\r', '\n');
  }

  /// Whether the first line ends with a carriage return and no line feed.
  bool find_returns() {
    bool in_quotes = false;
    for (std::size_t i = 0; i < kSampledBytes; ++i) {
      if (i + 1 >= available() && !refill() && i >= available()) return false;
      const char c = cursor_[i];
      if (c == '"') in_quotes = !in_quotes;
      if (c == '\n' && !in_quotes) return false;
      if (c == '\r' && !in_quotes) return i + 1 == available() || cursor_[i + 1] != '\n';
    }
    return false;
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
        if (!missing_numbers_.empty() && is_missing_number(value)) return false;
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

  std::optional<double> number_of(std::string_view text) const {
    if (options_.thousands != '\0')
      if (const auto plain = without_separators(text, options_.thousands, decimal_)) return as_number(*plain);
    return number_of(text, decimal_);
  }
  static std::optional<double> number_of(std::string_view text, char decimal) {
    if (decimal != ',') return as_number(text);
    if (text.find('.') != std::string_view::npos) return std::nullopt;
    std::string point(text);
    std::replace(point.begin(), point.end(), ',', '.');
    return as_number(point);
  }

  /// What a field that is read is, besides a number that may pass.
  enum class Fault { none, missing, text, not_finite };
  Fault look_at(std::string_view text, double& value) const {
    const std::optional<double> number = number_of(text);
    if (number ? is_missing_number(*number) : is_missing_word(text)) return Fault::missing;
    // "nan" is a number where NaN may pass.
    if (number && (std::isfinite(*number) || options_.allow_non_finite)) {
      value = *number;
      return Fault::none;
    }
    if (is_missing(text)) return Fault::missing;
    return number ? Fault::not_finite : Fault::text;
  }

  bool is_missing_number(double value) const {
    return std::find(missing_numbers_.begin(), missing_numbers_.end(), value) != missing_numbers_.end();
  }
  bool is_missing_word(std::string_view text) const {
    const std::vector<std::string>& all = options_.missing_values;
    return std::find(all.begin(), all.end(), text) != all.end();
  }

  /// What is wrong with a field, for an error.
  std::string fault_text(Fault fault, std::string_view text) const {
    if (text.empty()) return "expected a number, got an empty field";
    const std::optional<double> number = number_of(text);
    if (fault == Fault::missing && (number ? is_missing_number(*number) : is_missing_word(text)))
      return fmt::format("expected a number, got {}, which counts as missing", show(text));
    if (number) return fmt::format("expected a finite number, got {}", show(text));
    const auto grouped = grouped_number(text);
    if (!grouped) return "expected a number, got " + show(text);
    return fmt::format("expected a number, got {}, which looks like {} with thousands separated by {}", show(text),
                       grouped->plain, show({&grouped->separator, 1}));
  }

  /// False if the row is to be left out.
  bool parse_fields(double* out) {
    const std::size_t count = targets_.size();
    if (fields_.size() != count) {
      const bool commas = delimiter_ == ',' && fields_.size() == 2 * count &&
                          std::all_of(fields_.begin(), fields_.end(), [](const Field& f) {
                            return !f.text.empty() && f.text.find_first_not_of("+-0123456789") == std::string::npos;
                          });
      throw IoError(
          Notice{.where = fmt::format("{}:{}: ", source_, line_),
                 .problem = fmt::format("expected {} field{}, got {}", count, count == 1 ? "" : "s", fields_.size()),
                 .option = commas ? "decimal commas" : "",
                 .way_out = commas ? "; if these are decimal commas, say so, and the delimiter" : ""});
    }
    bool whole = true;
    for (std::size_t column = 0; column < count; ++column) {
      if (targets_[column] < 0) continue;
      const std::string_view text = trimmed(fields_[column].text);
      double value = std::numeric_limits<double>::quiet_NaN();
      const Fault fault = look_at(text, value);
      if (fault == Fault::missing && options_.missing == CsvOptions::Missing::drop) {
        ++left_out_->missing[static_cast<std::size_t>(targets_[column])];
        whole = false;
        continue;
      }
      const bool passes = fault == Fault::none ||
                          (fault == Fault::missing && options_.missing == CsvOptions::Missing::as_nan);
      if (!passes) report_faults(column, fault_text(fault, text));
      out[targets_[column]] = value;
    }
    return whole;
  }

  /// Reads on from the record whose fields are at hand, and says which columns have faults like the first.
  [[noreturn]] void report_faults(std::size_t first_column, const std::string& first) {
    const std::string place =
        fmt::format("{}:{}: column {} ({}): ", source_, line_, first_column + 1, show(file_names_[first_column]));
    Faults faults(names_.size());
    const auto count = [&] {
      ++faults.rows;
      std::vector<Index> holes;
      for (std::size_t c = 0; c < targets_.size(); ++c) {
        if (targets_[c] < 0) continue;
        const auto to = static_cast<std::size_t>(targets_[c]);
        const std::string_view text = trimmed(fields_[c].text);
        double value = 0;
        const Fault fault = look_at(text, value);
        if (fault == Fault::missing) holes.push_back(targets_[c]);
        if (fault == Fault::not_finite) ++faults.text[to];
        if (fault != Fault::text) continue;
        if (const auto grouped = grouped_number(text)) faults.add_grouped(to, grouped->separator);
        else ++faults.text[to];
      }
      faults.add_holes(holes);
    };
    count();
    // As far as a file can be looked through in a moment.
    constexpr Index kMostLines = 1'000'000;
    bool all = true;
    try {
      const Index begin = line_;
      Record record;
      while (cursor_ != end_ || read_) {
        if (!find_line_end(record, 0)) break;
        record.line_count = 1;
        split(record);
        // (the first one is the record that was counted)
        if (line_ != begin && fields_.size() == targets_.size()) count();
        consume(record);
        if (line_ - begin > kMostLines) {
          all = false;
          break;
        }
      }
    } catch (const IoError&) {
      all = false;  // other faults come after these
    }
    throw IoError(faults.notice(names_, place, first, all));
  }

  // --- opening ---

  /// Opens what `bytes` gives, or what it unpacks to.
  void begin(ReadBytes bytes) {
    read_ = unpacked(std::move(bytes), source_);
    buffer_.resize(kBufferSize);
    cursor_ = end_ = buffer_.data();
    open();
  }

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
    if (find_returns()) {
      if (buffer_.empty()) {  // text in memory, which is not ours
        buffer_.assign(cursor_, end_);
        cursor_ = buffer_.data();
        end_ = cursor_ + buffer_.size();
      }
      ends_with_returns_ = true;
      make_line_ends(cursor_);
      notes_.push_back("lines end with carriage returns");
    }
    // Enough bytes for the same answers however the file arrives.
    for (;;) {
      const auto lines = std::count(cursor_, cursor_ + std::min(available(), kSampledBytes), '\n');
      if (lines >= kSampledLines || available() >= kSampledBytes || !refill()) break;
    }
    delimiter_ = d == '\0' ? detect_delimiter() : d;
    decimal_ = options_.decimal;
    if (decimal_ != '\0' && decimal_ != '.' && decimal_ != ',')
      throw IoError(fmt::format("{}: the decimal point is '.' or ',', got {}", source_, show({&decimal_, 1})));
    const char t = options_.thousands;
    if (t != '\0' && !without_separators(fmt::format("1{}234", t), t, '\0'))
      throw IoError(fmt::format("{}: thousands are separated by ',', '.', ' ', \"'\" or '_', got {}", source_,
                                show({&t, 1})));
    if (t != '\0' && t == decimal_)
      throw IoError(fmt::format("{}: {} cannot be the decimal point and separate thousands", source_, show({&t, 1})));
    if (decimal_ == '\0') decimal_ = t == '.' ? ',' : '.';
    for (const std::string& text : options_.missing_values)
      if (const auto number = number_of(text)) missing_numbers_.push_back(*number);

    Record record;
    const bool found = find_first_row(record);
    if (!found) {
      if (!options_.allow_empty) throw IoError(source_ + ": the file is empty");
      select();
      return;
    }
    split(record);
    if (record.text.find('\r') != std::string_view::npos) {
      for (const Field& field : fields_) {
        if (!field.quoted && field.text.find('\r') != std::string::npos) {
          fail("a carriage return without a line feed; convert the line ends: tr '\\r' '\\n' <old >new");
        }
      }
    }
    const std::vector<Field> first = std::move(fields_);
    const std::vector<Field> second = peek_second_row(record);
    const bool decimal_known = options_.decimal != '\0' || t == ',' || t == '.';
    if (!decimal_known && delimiter_ != ',') find_decimal(first, second, record);

    has_header_ = options_.header == CsvOptions::Header::yes;
    if (options_.header == CsvOptions::Header::detect) has_header_ = is_header(first, second);
    const bool named_by_comment = !has_header_ && take_names_from_comment(first);
    for (std::size_t column = 0; column < first.size(); ++column) {
      file_names_.push_back(named_by_comment ? comment_names_[column]
                            : has_header_    ? first[column].text
                                             : fmt::format("c{}", column));
    }
    if (has_header_) leave_out_unnamed(second);
    select();
    if (!decimal_known && delimiter_ != ',' && decimal_ == '.') note_points(record);
    if (has_header_) consume(record);
  }

  bool is_comment(std::string_view text) const {
    const std::size_t begin = text.find_first_not_of(" \t");
    return options_.comment != '\0' && begin != std::string_view::npos && text[begin] == options_.comment;
  }

  /// The first record that is neither blank nor a comment; those before it are consumed.
  bool find_first_row(Record& record) {
    while (find_line_end(record, 0)) {
      if (is_comment(record.text)) {
        last_comment_ = trimmed(record.text);
        ++comments_;
      } else if (!trimmed(record.text).empty()) {
        if (comments_ > 0)
          notes_.push_back(fmt::format("{} line{} before the table begin{} with {} and {} left out", comments_,
                                       comments_ == 1 ? "" : "s", comments_ == 1 ? "s" : "",
                                       show({&options_.comment, 1}), comments_ == 1 ? "is" : "are"));
        return true;
      }
      consume({record.text, record.next, 1});
    }
    return false;
  }

  /// Fields of the row after the first, or none. Moves nothing but the buffer.
  std::vector<Field> peek_second_row(const Record& first) {
    std::size_t from = first.next;
    Record record;
    while (find_line_end(record, from)) {
      const std::string_view line(cursor_ + from, static_cast<std::size_t>(record.text.end() - cursor_) - from);
      if (!trimmed(line).empty() && !is_comment(line)) {
        // A quoted field with line ends in it is left for later: nothing is guessed then.
        if (std::count(line.begin(), line.end(), '"') % 2 != 0) break;
        return fields_of(line);
      }
      from = record.next;
    }
    return {};
  }
  /// Or none, where it has a fault: that is an error when it is read.
  std::vector<Field> fields_of(std::string_view line) {
    Record record{line, 0, 1};  // nothing follows it
    try {
      split(record);
      return std::move(fields_);
    } catch (const IoError&) {
      return {};
    }
  }

  /// `use(fields)` for those of the first lines that begin at an offset or behind it, until it is false.
  template <class Use>
  void each_row_at_hand(std::size_t from, const Use& use) {
    for (Index number = line_; number <= kSampledLines && from < available(); ++number) {
      const void* const end = std::memchr(cursor_ + from, '\n', available() - from);
      if (end == nullptr) return;
      const auto next = static_cast<std::size_t>(static_cast<const char*>(end) - cursor_) + 1;
      std::string_view line(cursor_ + from, next - from - 1);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!trimmed(line).empty() && !is_comment(line) && !use(fields_of(line))) return;
      from = next;
    }
  }

  /// Says which columns have whole numbers and others with three digits behind each point: "950" and "1.234".
  void note_points(const Record& first_record) {
    std::vector<Index> groups(file_names_.size()), decimals(file_names_.size()), whole(file_names_.size());
    const auto look = [&](const std::vector<Field>& row) {
      for (std::size_t c = 0; c < std::min(row.size(), groups.size()); ++c) {
        const std::string_view text = trimmed(row[c].text);
        if (!as_number(text)) continue;
        ++(!has_decimals(text) ? whole : without_separators(text, '.', ',') ? groups : decimals)[c];
      }
      return true;
    };
    each_row_at_hand(has_header_ ? first_record.next : 0, look);
    for (std::size_t c = 0; c < groups.size(); ++c)
      if (groups[c] > 1 && whole[c] > 0 && decimals[c] == 0 && targets_[c] >= 0)
        notes_.push_back(fmt::format("column {}: whole numbers, and numbers with three digits behind the point: if points "
                                     "separate thousands there, say so (thousands '.')",
                                     show(file_names_[c])));
  }

  /// ',' where fields of the first lines are numbers by it alone. "1,234" may be one or have its thousands separated.
  void find_decimal(const std::vector<Field>& first, const std::vector<Field>& second, const Record& first_record) {
    std::string_view either;
    bool by_comma = false, by_point = false;
    const auto look = [&](const std::vector<Field>& row) {
      for (const Field& field : row) {
        const std::string_view text = trimmed(field.text);
        if (text.find(',') == std::string_view::npos) {
          by_point = by_point || (as_number(text) && has_decimals(text));
        } else if (!number_of(text, ',')) {
          by_point = by_point || without_separators(text, ',', '.');
        } else if (without_separators(text, ',', '.')) {
          if (either.empty()) either = text;
        } else {
          by_comma = true;
        }
      }
    };
    look(first);
    look(second);
    if (by_point || (!by_comma && either.empty())) return;
    std::string shown(either);
    if (!by_comma) {
      each_row_at_hand(first_record.next, [&](const std::vector<Field>& row) {
        look(row);
        either = {};
        return !by_comma && !by_point;
      });
      if (by_point) return;
      // Where ';' stands between fields, it does because of decimal commas.
      if (!by_comma && delimiter_ != ';')
        throw IoError(Notice{.where = fmt::format("{}:{}: ", source_, line_),
                             .problem = fmt::format("{} may be {} or {}: nothing in the first lines says whether commas "
                                                    "are decimal or separate thousands",
                                                    show(shown), *without_separators(shown, ',', '.'),
                                                    *number_of(shown, ',')),
                             .option = "decimal",
                             .way_out = "; give decimal or thousands"});
    }
    decimal_ = ',';
    notes_.push_back("numbers have decimal commas");
  }

  bool is_header(const std::vector<Field>& first, const std::vector<Field>& second) {
    bool text = false, decimals = false, whole = true, rising = true, below = !second.empty();
    double last = -1;
    Index numbers = 0;
    std::vector<std::string_view> sorted;
    for (const Field& field : first) {
      sorted.push_back(field.text);
      const std::string_view t = trimmed(field.text);
      const std::optional<double> number = number_of(t);
      text = text || (!number && !is_missing(t));
      decimals = decimals || (number && t.find(decimal_) != std::string_view::npos);
      whole = whole && number && *number == std::floor(*number) && *number > last;
      rising = rising && (!number || *number > last);
      if (number) last = *number;
      numbers += number.has_value();
    }
    for (const Field& field : second) {
      const std::string_view t = trimmed(field.text);
      below = below && number_of(t) && (has_decimals(t) || t.find(decimal_) != std::string_view::npos);
    }
    if (text && decimals) {
      // Names are hardly ever numbers with decimals; text beside them is a column of text.
      notes_.push_back("the first line has numbers with decimals and is taken for a row, not for names");
      return false;
    }
    bool alike = first.size() == second.size();  // numbers above numbers, text above text
    for (std::size_t c = 0; alike && c < first.size(); ++c) {
      const std::string_view t = trimmed(second[c].text);
      alike = is_missing(t) || number_of(trimmed(first[c].text)).has_value() == number_of(t).has_value();
    }
    std::sort(sorted.begin(), sorted.end());
    if (text && numbers > 0 && std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
      notes_.push_back("the first line has numbers, some of its fields are equal, and it is taken for a row, not for names");
      return false;
    }
    if (text && numbers > 1 && alike && !rising) {
      // Numbers that are names are years or positions.
      notes_.push_back("the first line has numbers that do not rise, above numbers, and is taken for a row, not for names");
      return false;
    }
    if (text && numbers > 0)
      notes_.push_back(fmt::format("the first line is taken for names, though {} of them {}", numbers,
                                   numbers == 1 ? "is a number" : "are numbers"));
    if (text) return true;
    if (whole && below && first.size() > 1) {
      notes_.push_back("the first line, whole numbers that rise above numbers with decimals, is taken for names");
      return true;
    }
    return false;
  }

  /// "# x y" before rows of two numbers.
  bool take_names_from_comment(const std::vector<Field>& first) {
    if (last_comment_.empty() || options_.header != CsvOptions::Header::detect) return false;
    std::string text = last_comment_.substr(1);
    while (!text.empty() && text.front() == options_.comment) text.erase(0, 1);
    const std::vector<Field> names = fields_of(trimmed(text));
    bool words = names.size() == first.size();
    for (const Field& name : names) words = words && !name.text.empty() && !number_of(trimmed(name.text));
    if (!words) return false;
    for (const Field& name : names) comment_names_.push_back(name.text);
    notes_.push_back("names are those of the last comment line");
    return true;
  }

  /// Columns that nobody named: row names and numbers in front, what ends of lines leave behind.
  void leave_out_unnamed(const std::vector<Field>& second) {
    if (file_names_.size() > 1 && second.size() == file_names_.size() + 1) {
      file_names_.insert(file_names_.begin(), "");
      notes_.push_back("the first column has no name in the first line: row names, left out");
      unread_.resize(file_names_.size());
      unread_[0] = true;
    }
    unread_.resize(file_names_.size());
    if (second.size() != file_names_.size()) return;
    std::size_t last = file_names_.size();
    while (last > 1 && file_names_[last - 1].empty() && trimmed(second[last - 1].text).empty()) unread_[--last] = true;
    if (last < file_names_.size())
      notes_.push_back(fmt::format("{} empty column{} without a name at the end {} left out", file_names_.size() - last,
                                   file_names_.size() - last == 1 ? "" : "s",
                                   file_names_.size() - last == 1 ? "is" : "are"));
    const std::optional<double> number = number_of(trimmed(second[0].text));
    // (As pandas calls a column without a name that it has read and written again.)
    const bool unnamed = file_names_[0].empty() || (file_names_[0] == "Unnamed: 0" && options_.columns.empty());
    if (last > 1 && unnamed && !unread_[0] && number && (*number == 0 || *number == 1)) {
      unread_[0] = true;
      notes_.push_back(fmt::format("the first column {} and counts the rows: left out",
                                   file_names_[0].empty() ? "has no name" : "is called 'Unnamed: 0'"));
    }
  }

  static bool numbers_between_blanks(std::string_view line) {
    for (std::size_t i = 0; i < line.size();) {
      std::size_t end = i;
      while (end < line.size() && !is_blank(line[end]) && line[end] != '\r') ++end;
      if (end > i && !as_number(line.substr(i, end - i))) return false;
      i = end + 1;
    }
    return true;
  }

  /// Whether there are blanks between words of one field.
  static bool several_words(std::string_view line, char delimiter) {
    while (!line.empty()) {
      const std::size_t end = std::min(line.find(delimiter), line.size());
      const std::string_view field = trimmed(line.substr(0, end));
      if (std::any_of(field.begin(), field.end(), is_blank)) return true;
      line.remove_prefix(std::min(end + 1, line.size()));
    }
    return false;
  }

  char detect_delimiter() {
    const std::array<char, 3> kCandidates = {'\t', ';', options_.decimal == ',' ? ';' : ','};
    using Counts = std::array<Index, 4>;  // fields by each candidate and by blanks
    std::vector<Counts> lines;
    Counts counts{};
    bool in_quotes = false, in_word = false, any = false, comment = false;
    std::size_t line_begin = 0, line_end = 0;
    std::string_view last_line;
    const std::string_view sample(cursor_, std::min(available(), kSampledBytes));
    const auto finish_line = [&] {
      for (std::size_t k = 0; k < kCandidates.size(); ++k) ++counts[k];
      if (any) {
        lines.push_back(counts);
        last_line = sample.substr(line_begin, line_end - line_begin);
      }
      counts = {};
      in_word = any = comment = false;
    };
    for (const char& at : sample) {
      const char c = at;
      line_end = static_cast<std::size_t>(&at - sample.data());
      if (c == '\n' && !in_quotes) {
        finish_line();
        line_begin = line_end + 1;
        if (lines.size() == kSampledLines) break;
        continue;
      }
      comment = comment || (!any && !in_quotes && options_.comment != '\0' && c == options_.comment);
      if (comment) continue;
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
    line_end = sample.size();
    if (lines.empty() || (!read_ && available() <= kSampledBytes)) finish_line();
    const char usual = options_.decimal == ',' ? ';' : ',';
    if (lines.empty()) return usual;
    const auto consistent = [&](std::size_t k) {
      return lines[0][k] > 1 &&
             std::all_of(lines.begin(), lines.end(), [&](const Counts& c) { return c[k] == lines[0][k]; });
    };
    // Numbers between any blanks, as programs print them, may have tabs among these.
    if (consistent(0) && consistent(3) && numbers_between_blanks(last_line) &&
        (lines[0][0] != lines[0][3] || several_words(last_line, '\t')))
      return ' ';
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
    return most(3) ? ' ' : usual;
  }

  // Column selection: targets_ says where each column of the file goes, -1 for not read.
  void select() {
    unread_.resize(file_names_.size());
    std::vector<std::string> known;
    std::vector<Index> places;
    for (std::size_t i = 0; i < file_names_.size(); ++i) {
      if (unread_[i]) continue;
      known.push_back(file_names_[i]);
      places.push_back(static_cast<Index>(i));
    }
    std::vector<Index> order = chosen_columns(source_, known, options_.columns, options_.drop);
    for (Index& column : order) column = places[static_cast<std::size_t>(column)];
    // Names that occur twice matter where one of them is read.
    std::map<std::string_view, Index> position;
    for (std::size_t i = 0; i < known.size(); ++i) {
      const auto [it, fresh] = position.emplace(known[i], places[i]);
      const auto is_read = [&](Index c) { return std::find(order.begin(), order.end(), c) != order.end(); };
      if (!fresh && (is_read(it->second) || is_read(places[i])))
        fail(fmt::format("columns {} and {} have the same name {}", it->second + 1, places[i] + 1, show(known[i])));
    }
    targets_.assign(file_names_.size(), -1);
    for (const Index column : order) {
      targets_[static_cast<std::size_t>(column)] = static_cast<Index>(names_.size());
      names_.push_back(file_names_[static_cast<std::size_t>(column)]);
    }
    left_out_.emplace(names_.size());
  }

  // --- rows ---

  // Reads rows into blocks_ until there are `max_rows`.
  Index load(Index max_rows) {
    const auto width = static_cast<Index>(names_.size());
    blocks_.clear();
    runs_.clear();
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
        Block& block = blocks_.emplace_back();
        block.values = std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(room * width));
        out = block.values.get();
      }
      if (decimal_ == ',' || !parse_plain(record.text, out)) {
        if (is_comment(record.text)) {
          consume(record);
          continue;
        }
        if (trimmed(record.text).empty()) {
          if (blank_line_ == 0) blank_line_ = line_;
          consume(record);
          continue;
        }
        split(record);
        if (!parse_fields(out)) {
          blank_line_ = 0;
          ++dropped_rows_;
          consume(record);
          continue;
        }
      }
      if (blank_line_ != 0 && total_rows_ > 0 && targets_.size() == 1) {
        line_ = blank_line_;
        fail("an empty line between the rows of a one-column table");
      }
      blank_line_ = 0;
      if (rows == 0 || line_ != runs_.back().line + rows - runs_.back().row) runs_.push_back({rows, line_});
      ++blocks_.back().rows;
      consume(record);
      out += width;
      --room;
      ++rows;
      ++total_rows_;
    }
    if (total_rows_ == 0 && max_rows > 0 && !options_.allow_empty) {
      if (dropped_rows_ > 0) throw IoError(left_out_->nothing_left(names_, source_ + ": "));
      throw IoError(source_ + ": the file has no rows after the header");
    }
    return rows;
  }

  /// Each block goes when its rows are where they belong.
  void unload(MatrixView<double> values, VectorView<Index> lines) {
    const Index width = values.cols();
    for (std::size_t r = 0; r < runs_.size(); ++r) {
      const Index end = r + 1 < runs_.size() ? runs_[r + 1].row : lines.size();
      for (Index i = runs_[r].row; i < end; ++i) lines[i] = runs_[r].line + i - runs_[r].row;
    }
    runs_.clear();
    Index row = 0;
    for (Block& block : blocks_) {
      const Index count = block.rows;
      for (Index column = 0; column < width; ++column) {
        for (Index i = 0; i < count; ++i) values(row + i, column) = block.values[i * width + column];
      }
      row += count;
      block = {};
    }
    blocks_.clear();
  }

  std::string source_;
  CsvOptions options_;
  ReadBytes read_;  // none for text in memory, and once a file is read to its end
  std::vector<char> buffer_;
  const char* cursor_ = nullptr;
  const char* end_ = nullptr;
  Index line_ = 1;        // of the record at cursor_
  Index blank_line_ = 0;  // first blank line since the last row; 0 for none
  Index total_rows_ = 0;
  char delimiter_ = ',';
  char decimal_ = '.';
  bool has_header_ = false;
  bool ends_with_returns_ = false;  // and these were made line feeds
  Index comments_ = 0;  // before the first row
  std::string last_comment_;
  std::vector<std::string> comment_names_;
  std::vector<std::string> notes_;
  std::vector<bool> unread_;  // of the columns of the file: nobody's
  Index dropped_rows_ = 0;
  std::optional<Faults> left_out_;  // in rows that were left out; once the columns are known
  std::vector<double> missing_numbers_;
  std::vector<Field> fields_;
  std::vector<std::string> file_names_;
  std::vector<std::string> names_;
  std::vector<Index> targets_;
  // Rows that were read and are not yet where they belong.
  struct Block {
    std::unique_ptr<double[]> values;  // one row after another
    Index rows = 0;
  };
  std::vector<Block> blocks_;
  // Rows whose lines follow one another, from `row` on.
  struct Run {
    Index row = 0, line = 0;
  };
  std::vector<Run> runs_;
};

CsvReader::CsvReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CsvReader::CsvReader(CsvReader&&) noexcept = default;
CsvReader& CsvReader::operator=(CsvReader&&) noexcept = default;
CsvReader::~CsvReader() = default;

CsvReader::CsvReader(const std::filesystem::path& path, const CsvOptions& options) {
  const bool standard = path == "-";
  impl_ = std::make_unique<Impl>(standard ? "standard input" : path.string(), options);
  const auto file = std::make_shared<InputFile>(standard ? InputFile::standard_input() : InputFile(path));
  impl_->begin([file](void* data, std::size_t size) { return file->read(data, size); });
}

CsvReader CsvReader::from_text(std::string_view text, std::string_view source_name, const CsvOptions& options) {
  auto impl = std::make_unique<Impl>(std::string(source_name), options);
  if (is_gzip(text)) {
    impl->begin([text](void* data, std::size_t size) mutable {
      const std::size_t now = text.copy(static_cast<char*>(data), size);
      text.remove_prefix(now);
      return now;
    });
  } else {
    if (text.data() == nullptr) text = "";
    impl->cursor_ = text.data();
    impl->end_ = text.data() + text.size();
    impl->open();
  }
  return CsvReader(std::move(impl));
}

CsvReader::Impl& CsvReader::impl() const {
  if (impl_ == nullptr) throw Error("CsvReader: used after it was moved from");
  return *impl_;
}

const std::vector<std::string>& CsvReader::names() const { return impl().names_; }
const std::vector<std::string>& CsvReader::notes() const { return impl().notes_; }
Index CsvReader::dropped_rows() const { return impl().dropped_rows_; }

Index CsvReader::load(Index max_rows) {
  if (max_rows < 1) throw ShapeError(fmt::format("CsvReader::next: expected max_rows >= 1, got {}", max_rows));
  return impl().load(max_rows);
}

Index CsvReader::load_all() { return impl().load(std::numeric_limits<Index>::max()); }

void CsvReader::unload_into(MatrixView<double> values, VectorView<Index> lines) { impl().unload(values, lines); }

}  // namespace pushforward
