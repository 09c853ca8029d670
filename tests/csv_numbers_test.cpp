// Numbers that may be read wrongly: thousands that are separated, decimal commas, codes for missing values.

#include <cmath>
#include <pushforward/error.hpp>
#include <pushforward/io/csv.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

using Row = std::vector<double>;
using Missing = CsvOptions::Missing;
using Settings = std::vector<std::pair<std::string, std::string>>;

Row column(std::string_view text, const CsvOptions& options = {}) {
  const Table table = parse_csv(text, "f.csv", options);
  return {table.values.data(), table.values.data() + table.values.rows()};
}
Notice notice(std::string_view text, const CsvOptions& options = {}) {
  try {
    parse_csv(text, "f.csv", options);
  } catch (const IoError& e) {
    return e.notice();
  }
  return {.problem = "no error"};
}

}  // namespace

TEST_CASE("numbers: thousands that are separated are named", "[csv]") {
  const Notice one = notice("x,y\n\"1,234\",1\n");
  CHECK(one.text() == "f.csv:2: column 1 (\"x\"): expected a number, got \"1,234\", which looks like 1234 with thousands "
                      "separated by \",\"; thousands \",\" reads them");
  CHECK(one.settings == Settings{{"thousands", ","}});
  CHECK(one.option == "thousands");
  const std::vector<std::pair<const char*, const char*>> looks = {{"x;y\n1.234.567;1\n", "1234567"},
                                                                  {"x;y\n-1.234,5;1\n", "-1234.5"},
                                                                  {"x;y\n+1 234 567.25;1\n", "+1234567.25"},
                                                                  {"x;y\n1 234,5;1\n", "1234.5"},
                                                                  {"x;y\n1\xc2\xa0" "234;1\n", "1234"},
                                                                  {"x;y\n1\xe2\x80\xaf" "234;1\n", "1234"},
                                                                  {"x;y\n1'234'567;1\n", "1234567"},
                                                                  {"x;y\n1\xe2\x80\x99" "234;1\n", "1234"},
                                                                  {"x;y\n1_234;1\n", "1234"},
                                                                  {"x;y\n12,34,567;1\n", "1234567"}};  // as in India
  for (const auto& [text, number] : looks) {
    CAPTURE(text);
    CHECK_THAT(notice(text).text(), ContainsSubstring(std::string("which looks like ") + number + " with thousands"));
  }
  // None of these is one.
  for (const char* text : {"x;y\n12.10.2020;1\n", "x;y\n1.2.3;1\n", "x;y\n1234,567,890;1\n", "x;y\n0,123,456;1\n",
                           "x;y\n1,234,56;1\n", "x;y\n1,234.;1\n", "x;y\n1,234x;1\n", "x;y\n,234,567;1\n"}) {
    CAPTURE(text);
    CHECK_THAT(notice(text).text(), !ContainsSubstring("looks like"));
    CHECK(notice(text).settings == Settings{{"drop", "x"}});
  }
  // Together with other faults all that helps is said at once; with two separators a column is text.
  const Notice all = notice("a,b,c,d\n\"1,234\",x,,1 000\n\"5,678\",x,2,2'000\n7,x,3,4\n");
  CHECK(all.settings == Settings{{"drop", "b,d"}, {"missing", "drop"}, {"thousands", ","}});
  CHECK_THAT(all.text(), ContainsSubstring("thousands are separated: \"a\" in 2 rows; drop b,d; Missing::drop leaves"));
}

TEST_CASE("numbers: thousands are read by option", "[csv]") {
  CHECK(column("x,y\n\"1,234\",1\n\"1,234,567.5\",2\n12,3\n", {.thousands = ','}) == Row{1234, 1234567.5, 12});
  CHECK(column("x;y\n1.234,5;1\n-1.234.567;2\n0,5;3\n", {.thousands = '.'}) == Row{1234.5, -1234567, 0.5});
  CHECK(column("x;y\n1\xc2\xa0" "234;1\n1 234 567,5;2\n", {.decimal = ',', .thousands = ' '}) == Row{1234, 1234567.5});
  CHECK(column("x;y\n1'234.5;1\n", {.thousands = '\''}) == Row{1234.5});
  CHECK(column("x;y\n1_234;1\n", {.thousands = '_'}) == Row{1234});
  // Groups that are none are no numbers.
  for (const char* text : {"x;y\n1,23;1\n", "x;y\n12,3456;1\n", "x;y\n1,,234;1\n"})
    CHECK_THAT(notice(text, {.thousands = ','}).text(), ContainsSubstring("expected a number"));
  CHECK_THAT(notice("x\n1\n", {.thousands = '5'}).text(), ContainsSubstring("thousands are separated by"));
  CHECK_THAT(notice("x\n1\n", {.decimal = ',', .thousands = ','}).text(),
             ContainsSubstring("cannot be the decimal point and separate thousands"));
}

TEST_CASE("numbers: no comma is read in silence as what it may not be", "[csv]") {
  // "1,234" between tabs is one or the other, unless another number tells.
  const Notice either = notice("x\ty\n1,234\t1\n5,678\t2\n");
  CHECK(either.text() == "f.csv:1: \"1,234\" may be 1234 or 1.234: nothing in the first lines says whether commas are "
                         "decimal or separate thousands; give decimal or thousands");
  CHECK(either.option == "decimal");
  CHECK(column("x\ty\n1,234\t1\n", {.decimal = ','}) == Row{1.234});
  CHECK(column("x\ty\n1,234\t1\n", {.thousands = ','}) == Row{1234});
  CHECK(column("x\ty\n1,234\t1\n5,678\t2\n5,5\t3\n") == Row{1.234, 5.678, 5.5});
  CHECK(column("x\ty\n0,123\t1\n1,234\t2\n") == Row{0.123, 1.234});
  // These say that the commas separate thousands: then they are no numbers without the option.
  for (const char* text : {"x\ty\n1,234\t1.5\n", "x\ty\n1,234\t1\n1,234,567\t2\n", "x\ty\n1,234\t1\n1,234.5\t2\n"})
    CHECK_THAT(notice(text).text(), ContainsSubstring("got \"1,234\", which looks like 1234"));
  // ';' between fields is there because of decimal commas.
  CHECK(column("x;y\n1,234;1\n5,678;2\n") == Row{1.234, 5.678});
  // 950 and 1.234: read as they stand, and said.
  const auto notes = [](std::string_view text, const CsvOptions& options = {}) {
    return CsvReader::from_text(text, "f.csv", options).notes();
  };
  CHECK(notes("x;y\n950;0.5\n1.234;1.25\n2.500;3.125\n") ==
        std::vector<std::string>{"column \"x\": whole numbers, and numbers with three digits behind the point: if points "
                                 "separate thousands there, say so (thousands '.')"});
  CHECK(column("x;y\n950;0.5\n1.234;1.25\n2.500;3.125\n") == Row{950, 1.234, 2.5});
  for (const char* text : {"x;y\n950;1\n1.234;2\n2.5;3\n", "x;y\n1.234;1\n2.500;2\n", "x,y\n950,1\n1.234,2\n2.500,3\n"})
    CHECK(notes(text).empty());
  CHECK(notes("x;y\n950;1\n1.234;2\n2.500;3\n", {.decimal = '.'}).empty());
  // With decimal commas a point is none.
  CHECK_THAT(notice("x;y\n1,5;1\n1.234;2\n").text(), ContainsSubstring("got \"1.234\", which looks like 1234"));
}

TEST_CASE("numbers: codes and words for missing values", "[csv]") {
  const CsvOptions codes{.missing = Missing::drop, .missing_values = {"-9999", "unknown", "99.90"}};
  const Table table = parse_csv("x,y\n1,2\n-9999,3\n-9999.0,4\n5,-9.999e3\nunknown,7\n8,99.9\nNA,3\n9999,10\n", "f", codes);
  CHECK(table.lines == std::vector<Index>{2, 9});
  const Notice found = notice("x,y\n1,-9999\n-9999,3\n5,6\n", {.missing_values = {"-9999"}});
  CHECK(found.text() == "f.csv:2: column 2 (\"y\"): expected a number, got \"-9999\", which counts as missing; values are "
                        "missing: \"x\" in 1 row, \"y\" in 1 row; Missing::drop leaves rows out that miss a value");
  CHECK(found.settings == Settings{{"missing", "drop"}});
  CHECK(std::isnan(parse_csv("x\n-9999\n", "f", {.missing = Missing::as_nan, .missing_values = {"-9999"}}).values(0, 0)));
  CHECK(column("x\n-9999\n") == Row{-9999});
}
