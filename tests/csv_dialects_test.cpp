// Tables as people have them: what is guessed, what is said of it, and what is left out.

#include <cmath>
#include <fstream>
#include <limits>
#include <pushforward/error.hpp>
#include <pushforward/io/csv.hpp>
#include <pushforward/io/table.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

using Names = std::vector<std::string>;
using Header = CsvOptions::Header;
using Missing = CsvOptions::Missing;

struct Read {
  Table table;
  std::vector<std::string> notes;
  Index dropped = 0;
};
Read read(std::string_view text, const CsvOptions& options = {}) {
  CsvReader reader = CsvReader::from_text(text, "f.csv", options);
  Read r;
  r.table = reader.rest();
  r.notes = reader.notes();
  r.dropped = reader.dropped_rows();
  return r;
}
std::string error(std::string_view text, const CsvOptions& options = {}) {
  try {
    read(text, options);
  } catch (const IoError& e) {
    return e.what();
  }
  return "no IoError";
}
bool says(const Read& r, const std::string& text) {
  for (const std::string& note : r.notes)
    if (note.find(text) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("dialects: a plain table is read without a word", "[csv]") {
  for (const char* text : {"a,b\n1,2\n3,4\n", "1,2\n3,4\n", "1 2\n3 4\n", "a;b\n1.5;2\n3;4\n", "\"a\",\"b\"\r\n1,2\r\n3,4\r\n"}) {
    INFO(text);
    const Read r = read(text);
    CHECK(r.notes.empty());
    CHECK(r.table.values.rows() == 2);
    CHECK(r.table.values.cols() == 2);
  }
}

TEST_CASE("dialects: decimal commas", "[csv]") {
  for (const char* text : {"a;b\n1,5;2\n-2,25;3\n", "a\tb\n1,5\t2\n-2,25\t3\n", "a;b\n1,5;2\n-2,25e0;3\n"}) {
    INFO(text);
    const Read r = read(text);
    CHECK(r.table.values(0, 0) == 1.5);
    CHECK(r.table.values(1, 0) == -2.25);
    CHECK(says(r, "decimal commas"));
  }
  CHECK(read("a\n1,5\n2,5\n", {.decimal = ','}).table.values(1, 0) == 2.5);
  CHECK(read("1,5 2\n-2,25 3\n", {.decimal = ','}).table.values(1, 0) == -2.25);
  CHECK_THAT(error("a\n1,5\n2,5\n", {.delimiter = ','}), ContainsSubstring("decimal commas"));
  // A point elsewhere: then commas are no decimals, and a thousands separator is not guessed at.
  CHECK_THAT(error("a;b\n1,5;2.5\n"), ContainsSubstring("expected a number, got \"1,5\""));
  CHECK_THAT(error("a;b\n1.000,5;2\n"), ContainsSubstring("got \"1.000,5\""));
  CHECK_THAT(error("a;b\n1,5;2.5\n", {.decimal = ','}), ContainsSubstring("got \"2.5\""));
  CHECK_THAT(error("a\n1\n", {.decimal = 'x'}), ContainsSubstring("the decimal point is '.' or ','"));
}

TEST_CASE("dialects: names or a row", "[csv]") {
  const Read frame = read("0,1\n0.25,0.5\n0.75,1.5\n");
  CHECK(frame.table.names == Names{"0", "1"});
  CHECK(frame.table.values.rows() == 2);
  CHECK(says(frame, "is taken for names"));
  // Whole numbers above whole numbers, and numbers that fall, are rows.
  CHECK(read("0,1\n2,3\n").table.values.rows() == 2);
  CHECK(read("1,0\n0.25,0.5\n").table.values.rows() == 2);
  CHECK(read("0,1\n0.25,0.5\n", {.header = Header::no}).table.values.rows() == 2);
  // Decimals among words: a row with a column of text.
  CHECK_THAT(error("0.5,A\n1.5,B\n"), ContainsSubstring("f.csv:1: column 2 (\"c1\"): expected a number, got \"A\""));
  const Read no_header = read("0.5,A\n1.5,B\n", {.drop = {"c1"}});
  CHECK(no_header.table.values.rows() == 2);
  CHECK(says(no_header, "taken for a row"));
  const Read equal = read("25,male,0,0\n38,female,0,1\n", {.drop = {"c1"}});
  CHECK(equal.table.values.rows() == 2);
  CHECK(says(equal, "some of its fields are equal"));
  // A first row that misses a value is a row.
  CHECK(read("NA,1.5\n2,3\n", {.missing = Missing::drop}).table.values.rows() == 1);
  const Read years = read("year,1990,2000\n1,2,3\n");
  CHECK(years.table.names == Names{"year", "1990", "2000"});
  CHECK(says(years, "though 2 of them are numbers"));
}

TEST_CASE("dialects: comments", "[csv]") {
  const Read named = read("# written by a program\n# x y\n1 2\n# in between\n3 4\n");
  CHECK(named.table.names == Names{"x", "y"});
  CHECK(named.table.values.rows() == 2);
  CHECK(named.table.lines == std::vector<Index>{3, 5});
  CHECK(says(named, "2 lines before the table begin with \"#\""));
  CHECK(says(named, "names are those of the last comment line"));
  CHECK(read("# a preamble\nx,y\n1,2\n").table.names == Names{"x", "y"});
  CHECK(read("# many words before it\n1,2\n").table.names == Names{"c0", "c1"});
  CHECK(read("% x,y\n1,2\n", {.comment = '%'}).table.names == Names{"x", "y"});
  CHECK(read("#x,y\n1,2\n", {.comment = '\0'}).table.names == Names{"#x", "y"});
  CHECK_THAT(error("# nothing\n"), ContainsSubstring("the file is empty"));
}

TEST_CASE("dialects: columns that nobody named", "[csv]") {
  const Read index = read(",x,y\n0,1.5,2\n1,2.5,3\n");
  CHECK(index.table.names == Names{"x", "y"});
  CHECK(says(index, "counts the rows"));
  const Read rows = read("x y\n\"a\" 1 2\n\"b\" 3 4\n");
  CHECK(rows.table.names == Names{"x", "y"});
  CHECK(rows.table.values(1, 1) == 4);
  CHECK(says(rows, "row names"));
  const Read trailing = read("x;y;;\n1;2;;\n3;4;;\n");
  CHECK(trailing.table.names == Names{"x", "y"});
  CHECK(says(trailing, "2 empty columns without a name at the end are left out"));
  // With values they are columns, and one in front that does not count rows is one.
  CHECK(read("x,\n1,2\n").table.names == Names{"x", ""});
  CHECK(read(",x\n7.5,2\n").table.names == Names{"", "x"});
  CHECK(read("Unnamed: 0,x\n0,7\n1,8\n").table.names == Names{"x"});
  CHECK(read("Unnamed: 0,x\n5,7\n3,8\n").table.names == Names{"Unnamed: 0", "x"});
  CHECK(read("Unnamed: 0,x\n0,7\n1,8\n", {.columns = {"Unnamed: 0"}}).table.values(1, 0) == 1);
  // Equal names matter where they are read.
  CHECK(read("x,x,y\n1,2,3\n", {.columns = {"y"}}).table.values(0, 0) == 3);
  CHECK_THAT(error("x,x,y\n1,2,3\n"), ContainsSubstring("columns 1 and 2 have the same name \"x\""));
}

TEST_CASE("dialects: any blanks, tabs among them", "[csv]") {
  for (const char* text : {"1  2.5\t3\n4\t5.5  6\n", "1  2.5\t3\t\n4  5.5\t6\t\n", "1\t2.5\t3\t\n4\t5.5\t6\t\n"}) {
    INFO(text);
    const Read r = read(text);
    CHECK(r.table.values.cols() == 3);
    CHECK(r.table.values(1, 2) == 6);
  }
  // Words with blanks in them keep tabs for the delimiter, and so does an empty field.
  CHECK(read("name\tx\nNew York\t1\nOld York\t2\n", {.drop = {"name"}}).table.values(1, 0) == 2);
  CHECK(read("a\tb\tc\n1\t\t3\n4\t5\t6\n", {.missing = Missing::drop}).table.values.rows() == 1);
}

TEST_CASE("dialects: missing values", "[csv]") {
  const std::string holes = "x,y,z\n1,2,3\nNA,5,6\n7,,9\n10,nan,12\nnull,14,?\n16,17,18\n";
  const std::string all = error(holes);
  CHECK_THAT(all, ContainsSubstring("f.csv:3: column 1 (\"x\"): expected a number, got \"NA\"; values are missing: \"x\" "
                                    "in 2 rows, \"y\" in 2 rows, \"z\" in 1 row; Missing::drop leaves rows out that miss a value"));
  const Read dropped = read(holes, {.missing = Missing::drop});
  CHECK(dropped.dropped == 4);
  CHECK(dropped.table.lines == std::vector<Index>{2, 7});
  // What is not read misses nothing.
  CHECK(read(holes, {.columns = {"x"}, .missing = Missing::drop}).dropped == 2);
  const Read nan = read(holes, {.missing = Missing::as_nan});
  CHECK(nan.table.values.rows() == 6);
  CHECK(std::isnan(nan.table.values(1, 0)));
  CHECK(nan.table.values(1, 1) == 5);
  CHECK_THAT(error("x,y\nNA,1\nNA,\nNA,2\n", {.missing = Missing::drop}),
             ContainsSubstring("every row misses a value: \"x\" in 3 rows, \"y\" in 1 row; drop x"));
  // A column with more holes than values goes as a whole.
  CHECK_THAT(error("x,y,z\nNA,1,1\nNA,,2\nNA,2,3\n"),
             ContainsSubstring("; drop x; Missing::drop leaves rows out that miss a value"));
  // Infinity and words are no missing values.
  CHECK_THAT(error("x\n1\ninf\n", {.missing = Missing::drop}), ContainsSubstring("expected a finite number, got \"inf\""));
  CHECK_THAT(error("x\n1\nabc\n", {.missing = Missing::as_nan}), ContainsSubstring("got \"abc\""));
}

TEST_CASE("dialects: all faults of a table at once", "[csv]") {
  try {
    read("day,x,kind\nMon,1,a\nTue,,b\nWed,3,c\n");
    FAIL("no error");
  } catch (const IoError& e) {
    CHECK(e.what() == std::string("f.csv:2: column 1 (\"day\"): expected a number, got \"Mon\"; no numbers: \"day\" in 3 rows, "
                                  "\"kind\" in 3 rows; values are missing: \"x\" in 1 row; drop day,kind; "
                                  "Missing::drop leaves rows out that miss a value"));
    CHECK(e.notice().option == "drop");
  }
  // What cannot be read any more ends the list, and says that it is not whole.
  CHECK_THAT(error("x,y\na,1\nb,2\nc,\"3\n"), ContainsSubstring("no numbers of the rows looked at: \"x\" in 2 rows"));
}

TEST_CASE("dialects: a first line of numbers and text", "[csv]") {
  // A row, whose numbers stand above numbers and do not rise.
  const Read row = read("39,State-gov,77516,13\n50,Private,83311,9\n", {.drop = {"c1"}});
  CHECK(row.table.values.rows() == 2);
  CHECK_THAT(row.notes.at(0), ContainsSubstring("has numbers that do not rise, above numbers, and is taken for a row"));
  // Years rise; names of one number, and those above text, are names.
  CHECK(read("land,1990,2000\nFrance,1,2\n", {.drop = {"land"}}).table.names == Names{"1990", "2000"});
  CHECK(read("x,2020\n1,2\n").table.names == Names{"x", "2020"});
  CHECK(read("x,7,5\n1,2,3\n").table.names == Names{"x", "7", "5"});
}

TEST_CASE("dialects: the advice leaves rows", "[csv]") {
  // Every row misses x or y: to drop rows would leave none, so a column goes.
  const std::string text = "x,y,z,t\n1,,1,a\n,2,2,b\n,3,,c\n,4,4,d\n1,,5,e\n1,,6,f\n1,,,g\n";
  const std::string told = error(text);
  CHECK_THAT(told, ContainsSubstring("values are missing: \"x\" in 3 rows, \"y\" in 4 rows, \"z\" in 2 rows"));
  CHECK_THAT(told, ContainsSubstring("; drop y,t; Missing::drop leaves rows out that miss a value"));
  CHECK(read(text, {.drop = {"y", "t"}, .missing = Missing::drop}).table.values.rows() == 3);
  CHECK_THAT(error("x,y\n1,\n,2\n"), ContainsSubstring("; drop x"));
  // And where nothing would be left, there is none.
  CHECK_THAT(error("x,y\na,b\nc,\n"), ContainsSubstring("\"y\" in 1 row; so no column can be read"));
  CHECK_THAT(error("x,y\na,b\nc,\n"), !ContainsSubstring("; drop"));
}

TEST_CASE("dialects: lines that end with carriage returns alone", "[csv]") {
  const Read mac = read("x,y\r1,2\r\r3,4\r");
  CHECK(mac.table.values == read("x,y\n1,2\n\n3,4\n").table.values);
  CHECK(mac.table.lines == std::vector<Index>{2, 4});
  CHECK(mac.notes == Names{"lines end with carriage returns"});
  // As a file is that an editor has put its own end to.
  CHECK(read("x,y\r1,2\r3,4\r\n").table.values == mac.table.values);
  CHECK(read("\"x\r1\",y\r\n1,2\r\n3,4\r\n").table.values == mac.table.values);
  CHECK(read("\"x\r1\",y\r\n1,2\r\n3,4\r\n").notes.empty());
  // More than is read at once, from a file.
  std::string text = "x,y\r";
  for (int i = 0; i < 300'000; ++i) text += std::to_string(i) + ",0.5\r";
  const TemporaryFolder folder;
  std::ofstream(folder.path / "mac.csv") << text;
  const Table table = read_csv(folder.path / "mac.csv");
  CHECK(table.values.rows() == 300'000);
  CHECK(table.values.col(0).sum() == 300'000.0 * 299'999 / 2);
  CHECK(table.lines.back() == 300'001);
}

TEST_CASE("dialects: what only begins like a compressed file is named", "[csv]") {
  CHECK_THAT(error("\x1f\x8b\x08 whatever"), ContainsSubstring("f.csv: the compressed data are damaged"));
}

TEST_CASE("dialects: chunks, files and arrays agree", "[csv]") {
  const TemporaryFolder folder;
  std::string text = "# a;b\n";
  for (int i = 0; i < 1000; ++i) text += i % 7 == 3 ? "NA;1\n" : std::to_string(i) + ",5;" + std::to_string(i) + "\n";
  {
    std::FILE* file = std::fopen((folder.path / "t.csv").c_str(), "wb");
    REQUIRE(file);
    std::fputs(text.c_str(), file);
    std::fclose(file);
  }
  const Read whole = read(text, {.missing = Missing::drop});
  TableReader reader(folder.path / "t.csv", {.missing = Missing::drop});
  Table chunk;
  Index rows = 0;
  while (reader.next(chunk, 17)) {
    CHECK(chunk.values == whole.table.values.middleRows(rows, chunk.values.rows()));
    rows += chunk.values.rows();
  }
  CHECK(rows == 857);
  CHECK(reader.dropped_rows() == 143);
  CHECK(reader.names() == Names{"a", "b"});
  CHECK(reader.notes().size() == 3);

  Matrix<double> y(4, 2);
  y << 1, 2, std::nan(""), 4, 5, 6, 7, std::nan("");
  write_npy(folder.path / "t.npy", y);
  CHECK_THROWS_WITH(read_table(folder.path / "t.npy"),
                    ContainsSubstring("t.npy: row 1 (from 0), column 1 (\"c0\"): expected a finite number, got nan; values "
                                      "are missing: \"c0\" in 1 row, \"c1\" in 1 row; Missing::drop leaves rows out that "
                                      "miss a value"));
  TableReader array(folder.path / "t.npy", {.missing = Missing::drop});
  const Table kept = array.rest();
  CHECK(kept.values == Matrix<double>(y({0, 2}, Eigen::seqN(0, y.cols()))));
  CHECK(kept.lines == std::vector<Index>{0, 2});
  CHECK(array.dropped_rows() == 2);
  TableReader holes(folder.path / "t.npy", {.missing = Missing::as_nan});
  CHECK(holes.rest().values.rows() == 4);
  y(0, 0) = std::numeric_limits<double>::infinity();
  write_npy(folder.path / "t.npy", y);
  CHECK_THROWS_WITH(read_table(folder.path / "t.npy", {.missing = Missing::drop}),
                    ContainsSubstring("row 0 (from 0), column 1 (\"c0\"): expected a finite number, got inf"));
}
