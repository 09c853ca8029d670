// libFuzzer target: any text either loads or throws IoError, and chunks add up to the whole.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <pushforward/error.hpp>
#include <pushforward/io/csv.hpp>

using pushforward::CsvOptions;
using pushforward::CsvReader;
using pushforward::Index;
using pushforward::IoError;
using pushforward::Table;

namespace {

void check(bool good) {
  if (!good) std::abort();
}

std::optional<Table> whole(std::string_view text, const CsvOptions& options) {
  try {
    return pushforward::parse_csv(text, "fuzz", options);
  } catch (const IoError&) {
    return std::nullopt;
  }
}

std::optional<Index> rows_in_chunks(std::string_view text, const CsvOptions& options) {
  try {
    CsvReader reader = CsvReader::from_text(text, "fuzz", options);
    Table chunk;
    Index rows = 0;
    while (reader.next(chunk, 2)) rows += chunk.values.rows();
    return rows;
  } catch (const IoError&) {
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned choice = data[size - 1];  // the last byte chooses the options
  const std::string_view text(reinterpret_cast<const char*>(data), size - 1);
  CsvOptions options;
  options.header = static_cast<CsvOptions::Header>(choice % 3);
  options.delimiter = "\0\0 ,\t;"[choice / 3 % 6];
  options.allow_non_finite = (choice & 64) != 0;
  options.allow_empty = (choice & 128) != 0;
  if (choice % 7 == 0) options.drop = {"a"};
  if (choice % 5 == 0) options.missing = CsvOptions::Missing::drop;
  if (choice % 11 == 0) options.decimal = ',';
  if (choice % 13 == 0) options.thousands = ",. '_"[choice / 13 % 5];
  if (choice % 4 == 0) options.missing_values = {"-9999", "x"};
  const std::optional<Table> table = whole(text, options);
  const std::optional<Index> rows = rows_in_chunks(text, options);
  check(table.has_value() == rows.has_value());
  if (table) {
    check(table->values.rows() == *rows);
    check(table->values.cols() == static_cast<Index>(table->names.size()));
    check(table->lines.size() == static_cast<std::size_t>(*rows));
    check(options.allow_non_finite || table->values.allFinite());
  }
  return 0;
}
