// Arrays as tables, read in pieces of the file; codes for missing values.

#include <cmath>
#include <pushforward/error.hpp>
#include <pushforward/io/table.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/files.hpp"

using namespace pushforward;
using namespace file_tests;
using Catch::Matchers::ContainsSubstring;
using Missing = CsvOptions::Missing;

namespace {

// (N, 3) with every value its own, in a file of one order.
Matrix<double> numbered(Index rows) {
  Matrix<double> y(rows, 3);
  for (Index i = 0; i < rows; ++i)
    for (Index c = 0; c < 3; ++c) y(i, c) = static_cast<double>(3 * i + c);
  return y;
}
std::string file_of(const Matrix<double>& y, bool fortran) {
  std::string data;
  for (Index a = 0; a < (fortran ? y.cols() : y.rows()); ++a)
    for (Index b = 0; b < (fortran ? y.rows() : y.cols()); ++b) data += raw<double>({fortran ? y(b, a) : y(a, b)});
  return npy_of("<f8", "(" + std::to_string(y.rows()) + ", " + std::to_string(y.cols()) + ")", data, fortran);
}

}  // namespace

TEST_CASE("arrays: pieces of a file are the array") {
  const Folder folder;
  // More than a piece that is read at once (2^17 numbers).
  const Matrix<double> y = numbered(100'000);
  for (const bool fortran : {false, true}) {
    const fs::path path = folder.put("y.npy", file_of(y, fortran));
    CHECK(read_table(path).values == y);
    TableReader reader(path, {.columns = {"c2", "c0"}});
    Table chunk;
    Index rows = 0;
    while (reader.next(chunk, 33'333)) {
      REQUIRE(chunk.values.col(0) == y.col(2).segment(rows, chunk.values.rows()));
      REQUIRE(chunk.values.col(1) == y.col(0).segment(rows, chunk.values.rows()));
      CHECK(chunk.lines.front() == rows);
      rows += chunk.values.rows();
    }
    CHECK(rows == 100'000);
  }
  // A file that becomes shorter is an error, not the end of the program.
  const fs::path path = folder.put("y.npy", file_of(y, false));
  TableReader reader(path);
  Table chunk;
  REQUIRE(reader.next(chunk, 10));
  fs::resize_file(path, 4096);
  CHECK_THAT(io_error([&] { reader.rest(); }), ContainsSubstring("the file became shorter while it was read"));
}

TEST_CASE("arrays: rows that miss a value") {
  const Folder folder;
  Matrix<double> y = numbered(1000);
  for (Index i = 0; i < 1000; i += 7) y(i, i % 3) = std::nan("");
  for (const bool fortran : {false, true}) {
    const fs::path path = folder.put("y.npy", file_of(y, fortran));
    TableReader whole(path, {.missing = Missing::drop}), reader(path, {.missing = Missing::drop});
    const Table all = whole.rest();
    CHECK(all.values.rows() == 857);
    CHECK(all.values.allFinite());
    CHECK(whole.dropped_rows() == 143);
    Table chunk;
    Index rows = 0;
    while (reader.next(chunk, 10)) {
      CHECK(chunk.values.rows() == (rows < 850 ? 10 : 7));  // those that are left out make no chunk shorter
      CHECK(chunk.values == all.values.middleRows(rows, chunk.values.rows()));
      CHECK(chunk.lines.front() == all.lines[static_cast<std::size_t>(rows)]);
      rows += chunk.values.rows();
    }
    CHECK(rows == 857);
    CHECK(reader.dropped_rows() == 143);
    CHECK(read_table(path, {.missing = Missing::as_nan}).values.rows() == 1000);
    // (a column that is not read may miss what it will)
    CHECK(read_table(path, {.columns = {"c0"}, .missing = Missing::drop}).values.rows() == 952);
  }
  const fs::path empty = folder.put("e.npy", npy_of("<f8", "(2, 2)", raw<double>({1, std::nan(""), 3, std::nan("")})));
  CHECK_THAT(io_error([&] { read_table(empty, {.missing = Missing::drop}); }),
             ContainsSubstring("e.npy: every row misses a value: \"c1\" in 2 rows; drop c1"));
  CHECK(read_table(empty, {.allow_empty = true, .missing = Missing::drop}).values.rows() == 0);

  const fs::path codes = folder.put("c.npy", npy_of("<i4", "(3, 2)", raw<std::int32_t>({1, -9999, 3, 4, -9999, 6})));
  const std::vector<std::string> values = {"-9999", "unknown"};
  CHECK(read_table(codes, {.missing = Missing::drop, .missing_values = values}).lines == std::vector<Index>{1});
  CHECK(std::isnan(read_table(codes, {.missing = Missing::as_nan, .missing_values = values}).values(0, 1)));
  CHECK_THAT(io_error([&] { read_table(codes, {.missing_values = values}); }),
             ContainsSubstring("c.npy: row 0 (from 0), column 2 (\"c1\"): expected a number, got -9999, which counts as "
                               "missing; values are missing: \"c0\" in 1 row, \"c1\" in 1 row"));
}

TEST_CASE("codes for missing values are found") {
  // Normal quantiles, so that all is known: quartiles at +-0.674.
  constexpr Index kRows = 200;
  Matrix<double> y(kRows, 1);
  for (Index i = 0; i < kRows; ++i) {
    const double p = (static_cast<double>(i) + 0.5) / kRows;
    y(i, 0) = std::log(p / (1 - p));  // logistic: quartiles at +-log 3
  }
  CHECK(find_missing_codes(y).empty());
  for (Index i = 0; i < kRows; i += 10) y(i, 0) = -9999;
  std::vector<MissingCode> found = find_missing_codes(y);
  REQUIRE(found.size() == 1);
  CHECK(found[0].column == 0);
  CHECK(found[0].value == -9999);
  CHECK(found[0].rows == 20);
  CHECK(found[0].spreads == Approx(9994 / (2 * std::log(3.0))).epsilon(0.05));
  y(5, 0) = y(15, 0) = y(25, 0) = -8888;
  found = find_missing_codes(y);
  REQUIRE(found.size() == 2);
  CHECK((found[0].value == -9999 && found[1].value == -8888));
  // One value only where it is farther than anything that is drawn.
  y = y.cwiseMax(-5);
  y(7, 0) = y(8, 0) = 60;
  CHECK(find_missing_codes(y).empty());
  y(8, 0) = 0;
  y(7, 0) = 9.96921e36;  // the fill value of NetCDF
  found = find_missing_codes(y);
  REQUIRE(found.size() == 1);
  CHECK((found[0].value == 9.96921e36 && found[0].rows == 1));

  const auto codes_of = [](std::initializer_list<double> values, int times) {
    std::vector<double> all;
    for (int i = 0; i < times; ++i) all.insert(all.end(), values);
    return find_missing_codes(MatrixView<const double>(all.data(), static_cast<Index>(all.size()), 1)).size();
  };
  CHECK(codes_of({1, 2, 3, 4, 5, 99}, 10) == 1);
  // Categories, flags, rare counts and constants are none.
  CHECK(codes_of({0, 1}, 50) == 0);
  CHECK(codes_of({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3}, 10) == 0);
  CHECK(codes_of({7}, 50) == 0);
  CHECK(codes_of({1, 2, 3, 1e300}, 2) == 0);  // too few to say
  CHECK(codes_of({1, 2, 3, 4, 5, 9}, 10) == 0);
  CHECK(codes_of({std::nan(""), 1, 2, 3}, 10) == 0);
  CHECK(find_missing_codes(Matrix<double>(0, 3)).empty());
}
