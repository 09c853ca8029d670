// CSV files: what is read, what is refused and how, and what is written.

#include <clocale>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <pushforward/error.hpp>
#include <pushforward/io/csv.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/files.hpp"

using namespace pushforward;
using namespace file_tests;

namespace {

std::string csv_error(std::string_view text, const CsvOptions& options = {}) {
  return io_error([&] { parse_csv(text, "f.csv", options); });
}

std::vector<double> row_of(const Table& table, Index row) {
  std::vector<double> out;
  for (Index column = 0; column < table.values.cols(); ++column) out.push_back(table.values(row, column));
  return out;
}

}  // namespace

TEST_CASE("csv: plain tables") {
  const Table table = parse_csv("x,y\n1,2\n3.5,-4e-3\n+5, .5 \n");
  CHECK(table.names == Names{"x", "y"});
  REQUIRE(table.values.rows() == 3);
  CHECK(row_of(table, 0) == Row{1, 2});
  CHECK(row_of(table, 1) == Row{3.5, -4e-3});
  CHECK(row_of(table, 2) == Row{5, 0.5});
  CHECK(table.lines == std::vector<Index>{2, 3, 4});
}

TEST_CASE("csv: header or not") {
  CHECK(parse_csv("1,2\n3,4\n").names == Names{"c0", "c1"});
  CHECK(parse_csv("1,2\n3,4\n").values.rows() == 2);
  CHECK(parse_csv("1,2\n3,4\n", "t", {.header = CsvOptions::Header::yes}).names == Names{"1", "2"});
  CHECK(parse_csv("nan,2\n3,4\n", "t", {.allow_non_finite = true}).names == Names{"c0", "c1"});
  CHECK(parse_csv(",a\n3,4\n").names == Names{"", "a"});
  CHECK(csv_error("a,b\n1,2\n", {.header = CsvOptions::Header::no}) ==
        "f.csv:1: column 1 (\"c0\"): expected a number, got \"a\"; no numbers: \"c0\" in 1 row, \"c1\" in 1 row; so no "
        "column can be read");
  CHECK(csv_error("1,\n2,3\n") == "f.csv:1: column 2 (\"c1\"): expected a number, got an empty field");
}

TEST_CASE("csv: delimiters") {
  for (const char* text : {"a,b\n1,2\n", "a;b\n1;2\n", "a\tb\n1\t2\n", "a b\n1 2\n", "  a \t b\n 1   2  \n",
                           "a , b\n1 , 2\n", "\"a\" b\n1 2", "a ; b\r\n 1 ; 2 \r\n"}) {
    INFO(text);
    const Table table = parse_csv(text);
    CHECK(table.names == Names{"a", "b"});
    CHECK(row_of(table, 0) == Row{1, 2});
  }
  CHECK(parse_csv("a|b\n1|2\n", "t", {.delimiter = '|'}).names == Names{"a", "b"});
  CHECK(parse_csv("1\n2\n3").values.rows() == 3);
  CHECK(parse_csv("a b,c\n1,2\n").names == Names{"a b", "c"});
  CHECK(parse_csv("\"a,b\";c\n1;2\n").names == Names{"a,b", "c"});
  CHECK(csv_error("1 2 3\n4 5 6\n7 8\n9 1 2") == "f.csv:3: expected 3 fields, got 2");
  CHECK(csv_error("a\n1\n", {.delimiter = 'e'}) == "f.csv: \"e\" cannot be the delimiter");
  CHECK(csv_error("a\n1\n", {.delimiter = '"'}) == "f.csv: \"\\\"\" cannot be the delimiter");
}

TEST_CASE("csv: line ends, byte order mark, blank lines") {
  for (const char* text : {"a,b\n1,2\n3,4\n", "a,b\r\n1,2\r\n3,4\r\n",
                           "\xef\xbb\xbf"
                           "a,b\n1,2\n3,4",
                           "a,b\n1,2\n3,4\n\n \n\r\n", "\n\na,b\n1,2\n3,4", "a,b\n\n1,2\n  \n3,4"}) {
    INFO(text);
    const Table table = parse_csv(text);
    CHECK(table.names == Names{"a", "b"});
    REQUIRE(table.values.rows() == 2);
    CHECK(row_of(table, 0) == Row{1, 2});
    CHECK(row_of(table, 1) == Row{3, 4});
  }
  CHECK(parse_csv("\n\na,b\n\n1,2\n").lines == std::vector<Index>{5});
  CHECK(parse_csv("v\n\n1\n2\n\n\n").values.rows() == 2);
  CHECK(csv_error("v\n1\n\n2\n") == "f.csv:3: an empty line between the rows of a one-column table");
  CHECK(csv_error("# c\na,b\r1,2\n3,4\n") == "f.csv:2: a carriage return without a line feed; convert the line ends: tr '\\r' '\\n' <old >new");
  CHECK(csv_error(std::string_view("\xff\xfe"
                                   "a\0,\0b\0",
                                   8)) == "f.csv: the text is in UTF-16; save it as UTF-8");
}

TEST_CASE("csv: quoted fields") {
  const Table table = parse_csv("\"a, \"\"b\"\"\",\"c\nd\" , \"\"\n1,\"2\",3\n\" 4 \",5,6");
  CHECK(table.names == Names{"a, \"b\"", "c\nd", ""});
  CHECK(row_of(table, 0) == Row{1, 2, 3});
  CHECK(row_of(table, 1) == Row{4, 5, 6});
  CHECK(table.lines == std::vector<Index>{3, 4});
  CHECK(parse_csv("\"a\r\nb\",c\r\n1,2\r\n").names == Names{"a\r\nb", "c"});
  CHECK(parse_csv("5\" pipe,b\n1,2\n").names == Names{"5\" pipe", "b"});
  CHECK(csv_error("a,\"b\n1,2\n") == "f.csv:1: a quoted field is not closed before the end");
  CHECK(csv_error("a,b\n1,\"2") == "f.csv:2: a quoted field is not closed before the end");
  CHECK(csv_error("\"a\"x,b\n1,2\n") == "f.csv:1: column 1: unexpected text after the closing quote of \"a\"");
  // Line numbers count the lines inside quotes, in columns that are not read as well.
  const Table dropped = parse_csv("a,note\n1,\"x\n,\ny\"\n2,z\n", "t", {.drop = {"note"}});
  CHECK(dropped.lines == std::vector<Index>{2, 5});
  CHECK(csv_error("a,note\n1,\"x\ny\"\nq,z\n", {.drop = {"note"}}) ==
        "f.csv:4: column 1 (\"a\"): expected a number, got \"q\"");
}

TEST_CASE("csv: numbers") {
  const auto number = [](const std::string& text) {
    return parse_csv(text + ",0\n", "t", {.header = CsvOptions::Header::no, .allow_non_finite = true}).values(0, 0);
  };
  CHECK(number("0.1") == 0.1);
  CHECK(number("1e-3") == 1e-3);
  CHECK(number("1E+3") == 1e3);
  CHECK(number("1.") == 1);
  CHECK(number("4.9406564584124654e-324") == 4.9406564584124654e-324);
  CHECK(number("1.7976931348623157e308") == std::numeric_limits<double>::max());
  CHECK(number("9007199254740993") == 9007199254740992.0);  // halfway: to even
  CHECK(number("1e-400") == 0);
  CHECK(std::signbit(number("-1e-400")));
  CHECK(number("0." + std::string(400, '0') + "1") == 0);
  CHECK(number("0." + std::string(400, '0') + "1e401") == 1);
  CHECK(number("1e400") == HUGE_VAL);
  CHECK(number("-1e400") == -HUGE_VAL);
  CHECK(number(std::string(400, '9')) == HUGE_VAL);
  CHECK(number("1e99999999999999999999999") == HUGE_VAL);
  CHECK(number("1e-99999999999999999999999") == 0);
  CHECK(number("0e99999999999999999999999") == 0);
  CHECK(std::isnan(number("NaN")));
  CHECK(number("-Infinity") == -HUGE_VAL);
  CHECK(number("+inf") == HUGE_VAL);
  for (const char* text :
       {"abc", "1x", "+-1", "++1", "--1", "0x10", "1e", "1,5e", "NA", "1_000", "1 2", "-", "+", "."}) {
    INFO(text);
    CHECK_THROWS_AS(parse_csv(std::string("a;b\n") + text + ";0\n"), IoError);
  }
  // The decimal point does not depend on the locale.
  const std::string old = std::setlocale(LC_ALL, nullptr);
  for (const char* locale : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"}) {
    if (std::setlocale(LC_ALL, locale) != nullptr) break;
  }
  CHECK(number("1.25") == 1.25);
  std::setlocale(LC_ALL, old.c_str());
}

TEST_CASE("csv: errors name file, line and column") {
  const std::string rows = "height,length,width\n1,2,3\n1,2,3\n";
  CHECK(csv_error(rows + "1,2,abc\n") == "f.csv:4: column 3 (\"width\"): expected a number, got \"abc\"");
  CHECK(csv_error(rows + "1,,3\n") == "f.csv:4: column 2 (\"length\"): expected a number, got an empty field");
  CHECK(csv_error(rows + "1,2\n") == "f.csv:4: expected 3 fields, got 2");
  CHECK(csv_error(rows + "1,2,3,4\n") == "f.csv:4: expected 3 fields, got 4");
  CHECK(csv_error(rows + "1,2,3,\n") == "f.csv:4: expected 3 fields, got 4");
  CHECK(csv_error("a\n1,2\n", {.delimiter = ','}) ==
        "f.csv:2: expected 1 field, got 2; if these are decimal commas, say so, and the delimiter");
  CHECK(csv_error(rows + "1,nan,3\n") == "f.csv:4: column 2 (\"length\"): expected a finite number, got \"nan\"");
  CHECK(csv_error(rows + "1,1e999,3\n") == "f.csv:4: column 2 (\"length\"): expected a finite number, got \"1e999\"");
  CHECK(csv_error(rows + "1,\x01\x7f\\\t\"" + std::string(60, 'y') + ",3\n") ==
        "f.csv:4: column 2 (\"length\"): expected a number, got \"\\x01\\x7f\\\\\\t\\\"" + std::string(35, 'y') +
            "...\"");
  CHECK(csv_error("") == "f.csv: the file is empty");
  CHECK(csv_error("\n \n") == "f.csv: the file is empty");
  CHECK(csv_error("\xef\xbb\xbf") == "f.csv: the file is empty");
  CHECK(csv_error("a,b\n") == "f.csv: the file has no rows after the header");
  CHECK(csv_error("a,b,a\n1,2,3\n") == "f.csv:1: columns 1 and 3 have the same name \"a\"");
  CHECK(parse_csv("", "t", {.allow_empty = true}).values.cols() == 0);
  const Table empty = parse_csv("a,b\n", "t", {.allow_empty = true});
  CHECK(empty.values.rows() == 0);
  CHECK(empty.values.cols() == 2);
}

TEST_CASE("csv: selection") {
  const std::string text = "height,length,species,width\n1,2,setosa,3\n4,5,\"vir,ginica\",6\n";
  const Table table = parse_csv(text, "t", {.columns = {"width", "height"}});
  CHECK(table.names == Names{"width", "height"});
  CHECK(row_of(table, 0) == Row{3, 1});
  CHECK(row_of(table, 1) == Row{6, 4});
  CHECK(row_of(parse_csv(text, "t", {.drop = {"species", "length"}}), 1) == Row{4, 6});
  CHECK(row_of(parse_csv(text, "t", {.columns = {"width", "length"}, .drop = {"width"}}), 1) == Row{5});
  CHECK(parse_csv("1,x,2\n", "t", {.header = CsvOptions::Header::no, .drop = {"c1"}}).names == Names{"c0", "c2"});
  CHECK(row_of(parse_csv("a b c\n1 x 3\n", "t", {.columns = {"c", "a"}}), 0) == Row{3, 1});
  CHECK(csv_error(text, {.columns = {"widht"}}) ==
        "f.csv: no column \"widht\" (did you mean \"width\"?); the columns are \"height\", \"length\", \"species\", "
        "\"width\"");
  CHECK(csv_error(text, {.drop = {"zzzzzz"}}) ==
        "f.csv: no column \"zzzzzz\"; the columns are \"height\", \"length\", \"species\", \"width\"");
  CHECK(csv_error(text, {.columns = {"width", "width"}}) == "f.csv: column \"width\" is selected twice");
  CHECK(csv_error("a,b\n1,2\n", {.drop = {"a", "b"}}) == "f.csv: no column is left to read");
  CHECK(csv_error(text) == "f.csv:2: column 3 (\"species\"): expected a number, got \"setosa\"; no numbers: \"species\" in 2 rows; drop "
                            "species");
}

TEST_CASE("csv: chunks of a file longer than the buffer") {
  const Folder folder;
  const Index rows = 200000;
  std::string text = "\"a\nb\",c,note\r\n";
  for (Index i = 0; i < rows; ++i) {
    text += std::to_string(i) + "," + std::to_string(0.5 * static_cast<double>(i)) +
            (i % 7 == 0 ? ",\"x\ny\"\r\n" : ",n\r\n");
  }
  REQUIRE(text.size() > 3 << 20);
  const fs::path path = folder.put("long.csv", text);
  const CsvOptions options{.drop = {"note"}};
  CsvReader reader(path, options);
  CHECK(reader.names() == Names{"a\nb", "c"});
  Table chunk;
  Index row = 0, line = 3;
  bool good = true;
  while (reader.next(chunk, 999)) {
    CHECK(chunk.names == reader.names());
    for (Index i = 0; i < chunk.values.rows(); ++i, ++row) {
      good = good && chunk.values(i, 0) == static_cast<double>(row) &&
             chunk.values(i, 1) == 0.5 * static_cast<double>(row);
      good = good && chunk.lines[static_cast<std::size_t>(i)] == line;
      line += row % 7 == 0 ? 2 : 1;
    }
    CHECK(chunk.values.rows() == (row == rows ? rows % 999 : 999));
  }
  CHECK(good);
  CHECK(row == rows);
  CHECK(chunk.values.rows() == 0);
  CHECK_FALSE(reader.next(chunk, 1));
  CHECK(reader.rest().values.rows() == 0);
  CHECK(read_csv(path, options).values.rows() == rows);
  CHECK_THROWS_AS(reader.next(chunk, 0), ShapeError);
  CsvReader moved = std::move(reader);
  CHECK_THROWS_AS(reader.names(), Error);  // NOLINT: the use after the move is the test
  CHECK(moved.names().size() == 2);
  // The first rows come before a later fault is met.
  CsvReader faulty = CsvReader::from_text("a\n1\n2\nx\n", "f.csv");
  CHECK(faulty.next(chunk, 2));
  CHECK(io_error([&] { faulty.next(chunk, 2); }) == "f.csv:4: column 1 (\"a\"): expected a number, got \"x\"");
}

TEST_CASE("csv: writing reads back bit for bit") {
  const Folder folder;
  Matrix<double> values(3, 3);
  values << 0.1, -0.0, 1.0 / 3, 1e-308 / 3, 1.7976931348623157e308, 5e-324, 123456789, 1e22, -1;
  const Names names = {"a,b", "c \"d\"\n", " e"};
  for (const char delimiter : {',', ';', '\t'}) {
    CsvWriter writer(folder / "t.csv", names, delimiter);
    writer.write(values.topRows(1));
    writer.write(values.bottomRows(2));
    CHECK(fs::exists(folder / "t.csv") == (delimiter != ','));  // the older one
    writer.commit();
    CHECK(folder.files() == Names{"t.csv"});
    CHECK_THROWS_AS(writer.write(values), Error);
    CHECK_THROWS_AS(writer.commit(), Error);
    const Table table = read_csv(folder / "t.csv");
    CHECK(table.names == names);
    REQUIRE(table.values.size() == 9);
    CHECK(std::memcmp(table.values.data(), values.data(), 9 * sizeof(double)) == 0);
  }
  std::ostringstream stream;
  Eigen::Matrix<float, 2, 2, Eigen::RowMajor> floats;
  floats << 0.1f, 2, std::numeric_limits<float>::infinity(), -std::nanf("");
  CsvWriter to_stream(stream, {"x", "y"});
  to_stream.write(floats);
  to_stream.commit();
  CHECK(stream.str() == "x,y\n0.1,2\ninf,nan\n");
  std::ostringstream plain;
  CsvWriter no_header(plain, {});
  no_header.write(values.leftCols(2).topRows(1));
  CHECK_THROWS_WITH(no_header.write(values), "CsvWriter::write: expected (N, 2), got (3, 3)");
  no_header.commit();
  CHECK(plain.str() == "0.1,-0\n");
  CHECK(io_error([&] { CsvWriter(folder / "t.csv", {"a"}, 'x'); }) ==
        (folder / "t.csv").string() + ": expected ',', ';' or tab as delimiter, got \"x\"");
  std::ostringstream broken;
  CsvWriter to_broken(broken, {"x"});
  broken.setstate(std::ios::badbit);
  CHECK(io_error([&] { to_broken.commit(); }) == "stream: cannot write: the stream is in a failed state");
}
