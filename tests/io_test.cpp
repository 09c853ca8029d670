#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <clocale>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <pushforward/error.hpp>
#include <pushforward/io/csv.hpp>
#include <pushforward/io/npy.hpp>
#include <pushforward/io/safetensors.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
namespace fs = std::filesystem;

namespace {

// A folder of its own for each test, removed at the end.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "pushforward-io-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~Folder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(path_)) out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  }
  std::string text_of(const std::string& name) const {
    std::ifstream in(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  fs::path put(const std::string& name, std::string_view text) const {
    std::ofstream(path_ / name, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
    return path_ / name;
  }

 private:
  fs::path path_;
};

// The text of the IoError that `action` throws.
std::string io_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const IoError& error) {
    return error.what();
  }
  return "no IoError";
}

std::string csv_error(std::string_view text, const CsvOptions& options = {}) {
  return io_error([&] { parse_csv(text, "f.csv", options); });
}

std::vector<double> row_of(const Table& table, Index row) {
  std::vector<double> out;
  for (Index column = 0; column < table.values.cols(); ++column) out.push_back(table.values(row, column));
  return out;
}

using Row = std::vector<double>;
using Names = std::vector<std::string>;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* p = reinterpret_cast<const std::byte*>(text.data());
  return {p, p + text.size()};
}

std::vector<std::byte> from_hex(std::string_view hex) {
  std::vector<std::byte> out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

template <class T>
std::string raw(std::initializer_list<T> values, bool swapped = false) {
  std::string out;
  for (const T value : values) {
    std::string item(sizeof(T), '\0');
    std::memcpy(item.data(), &value, sizeof(T));
    if (swapped) std::reverse(item.begin(), item.end());
    out += item;
  }
  return out;
}

std::string npy(const std::string& header, const std::string& data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) out += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return out + header + data;
}

std::string npy_of(const std::string& descr, const std::string& shape, const std::string& data, bool fortran = false) {
  return npy(
      "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }\n",
      data);
}

std::string npy_error(const std::string& text, const NpyOptions& options = {}) {
  return io_error([&] { read_npy(bytes_of(text), "x.npy", options); });
}

std::vector<double> values_of(const std::string& text) {
  const NpyArray array = read_npy(bytes_of(text));
  return {array.values.data(), array.values.data() + array.values.size()};
}

std::string safetensors(const std::string& header, const std::string& data = "") {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> (8 * i) & 0xff);
  return out + header + data;
}

std::string safetensors_error(const std::string& header, const std::string& data = "") {
  const auto bytes = bytes_of(safetensors(header, data));
  return io_error([&] { SafetensorsFile::read(bytes, "m.st"); });
}

// Made once by numpy 2.4.6 and safetensors 0.8.0:
//   x = np.array([[1.5, -2], [3, 4], [5, 6]])
//   np.savez(f, x=x, labels=np.arange(3, dtype='i4')); np.savez_compressed(f, x=x)
//   safetensors.numpy.save({'b.weight': np.array([[1, 2, 3], [4, 5, 6]], 'f4'), 'a': np.array([0.5]), 'n':
//   np.arange(4),
//                           'e': np.zeros((0, 2), 'f4'), 'u': np.array([1, 2, 255], 'u1')},
//                          metadata={'format': 'np', 'text': '\u00fc "x"'})
const char* const kSavez =
    "504b03042d000000000000002100259990d9ffffffffffffffff05001400782e6e707901001000b000000000000000b0000000000000"
    "00934e554d5059010076007b276465736372273a20273c6638272c2027666f727472616e5f6f72646572273a2046616c73652c202773"
    "68617065273a2028332c2032292c207d2020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020202020200a000000000000f83f00000000000000c00000000000000840000000000000104000"
    "000000000014400000000000001840504b03042d00000000000000210002ecbda9ffffffffffffffff0a0014006c6162656c732e6e70"
    "79010010008c000000000000008c00000000000000934e554d5059010076007b276465736372273a20273c6934272c2027666f727472"
    "616e5f6f72646572273a2046616c73652c20277368617065273a2028332c292c207d2020202020202020202020202020202020202020"
    "202020202020202020202020202020202020202020202020202020202020202020202020202020200a00000000010000000200000050"
    "4b01022d032d000000000000002100259990d9b0000000b0000000050000000000000000000000800100000000782e6e7079504b0102"
    "2d032d00000000000000210002ecbda98c0000008c0000000a00000000000000000000008001e70000006c6162656c732e6e7079504b"
    "050600000000020002006b000000af0100000000";

const char* const kCompressed =
    "504b03042d000000080000002100259990d9ffffffffffffffff05001400782e6e707901001000b0000000000000005b000000000000"
    "009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a1aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416"
    "a402f91ac63a0a469a3a0ab50a64032e0630f8610fa1190e40280e07082d00a545a0b4840300504b01022d032d000000080000002100"
    "259990d95b000000b0000000050000000000000000000000800100000000782e6e7079504b0506000000000100010033000000920000"
    "000000";

const char* const kOfficial =
    "50010000000000007b225f5f6d657461646174615f5f223a7b22666f726d6174223a226e70222c2274657874223a22c3bc205c22785c"
    "22227d2c226e223a7b226474797065223a22493634222c227368617065223a5b345d2c22646174615f6f666673657473223a5b302c33"
    "325d7d2c2261223a7b226474797065223a22463634222c227368617065223a5b315d2c22646174615f6f666673657473223a5b33322c"
    "34305d7d2c22622e776569676874223a7b226474797065223a22463332222c227368617065223a5b322c335d2c22646174615f6f6666"
    "73657473223a5b34302c36345d7d2c2265223a7b226474797065223a22463332222c227368617065223a5b302c325d2c22646174615f"
    "6f666673657473223a5b36342c36345d7d2c2275223a7b226474797065223a225538222c227368617065223a5b335d2c22646174615f"
    "6f666673657473223a5b36342c36375d7d7d202000000000000000000100000000000000020000000000000003000000000000000000"
    "00000000e03f0000803f0000004000004040000080400000a0400000c0400102ff";

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
        "f.csv:1: column 1 (\"c0\"): expected a number, got \"a\"");
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
  // A decimal comma is an error, not two columns.
  CHECK(csv_error("a;b\n1,5;2,5\n2,5;3,5\n") == "f.csv:2: column 1 (\"a\"): expected a number, got \"1,5\"");
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
  CHECK(csv_error("a,b\r1,2\r") == "f.csv:1: a carriage return without a line feed; convert the line ends");
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
  CHECK(csv_error("a\n1,2\n", {.delimiter = ','}) == "f.csv:2: expected 1 field, got 2");
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
  CHECK(csv_error(text) == "f.csv:2: column 3 (\"species\"): expected a number, got \"setosa\"");
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
    CHECK(folder.files() != Names{"t.csv"});
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
  floats << 0.1f, 2, std::numeric_limits<float>::infinity(), std::nanf("");
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

TEST_CASE("files: all or nothing") {
  const Folder folder;
  const fs::path path = folder.put("t.csv", "old");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  {
    CsvWriter abandoned(path, {"a"});
    abandoned.write(Matrix<double>::Ones(100000, 1).eval());
    CsvWriter second(path, {"a"});  // at the same time
    CHECK(folder.files().size() == 3);
  }
  CHECK(folder.files() == Names{"t.csv"});
  CHECK(folder.text_of("t.csv") == "old");

  CsvWriter writer(path, {"a"});
  CsvWriter moved = std::move(writer);
  CHECK_THROWS_AS(writer.commit(), Error);  // NOLINT: the use after the move is the test
  moved.commit();
  CHECK(folder.text_of("t.csv") == "a\n");
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));

  // A symbolic link stays a link.
  fs::create_symlink("t.csv", folder / "link.csv");
  CsvWriter through(folder / "link.csv", {"b"});
  through.commit();
  CHECK(fs::is_symlink(folder / "link.csv"));
  CHECK(folder.text_of("t.csv") == "b\n");

  // A disk that fills up while writing: SIGXFSZ ignored, the limit gives EFBIG.
  rlimit old{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  rlimit small = old;
  small.rlim_cur = 4096;
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string error = io_error([&] { write_npy(path, Matrix<double>::Ones(1000, 10).eval()); });
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK(error == path.string() + ": cannot write: File too large");
  CHECK(folder.files() == Names{"link.csv", "t.csv"});
  CHECK(folder.text_of("t.csv") == "b\n");

  // A folder that takes the name between opening and commit.
  CsvWriter late(folder / "late.csv", {"a"});
  fs::create_directory(folder / "late.csv");
  CHECK(io_error([&] { late.commit(); }) == (folder / "late.csv").string() + ": cannot write: Is a directory");
  CHECK(folder.files() == Names{"late.csv", "link.csv", "t.csv"});

  // Devices are written directly.
  if (fs::exists("/dev/full")) {
    CsvWriter full("/dev/full", {"a"});
    CHECK(io_error([&] { full.commit(); }) == "/dev/full: cannot write: No space left on device");
  }
  CsvWriter null("/dev/null", {"a"});
  null.commit();
}

TEST_CASE("files: what cannot be opened") {
  const Folder folder;
  const std::string missing = (folder / "no.csv").string(), here = (folder / ".").string();
  CHECK(io_error([&] { read_csv(missing); }) == missing + ": cannot open for reading: No such file or directory");
  CHECK(io_error([&] { read_npy(missing); }) == missing + ": cannot open for reading: No such file or directory");
  CHECK(io_error([&] { NpzFile{fs::path(missing)}; }) ==
        missing + ": cannot open for reading: No such file or directory");
  CHECK(io_error([&] { SafetensorsFile::read(missing); }) ==
        missing + ": cannot open for reading: No such file or directory");
  CHECK(io_error([&] { read_csv(here); }) == here + ": cannot open for reading: Is a directory");
  CHECK(io_error([&] { SafetensorsFile::read(here); }) == here + ": cannot open for reading: Is a directory");
  CHECK(io_error([&] { CsvWriter(here, {"a"}); }) == here + ": cannot open for writing: Is a directory");
  CHECK(io_error([&] { CsvWriter("", {"a"}); }) == "\"\": cannot open for writing: No such file or directory");
  const std::string nowhere = (folder / "no/t.csv").string();
  CHECK(io_error([&] { CsvWriter(nowhere, {"a"}); }) ==
        nowhere + ": cannot open for writing: No such file or directory");
  const fs::path locked = folder.put("locked.csv", "a\n1\n");
  fs::permissions(locked, fs::perms::none);
  if (::access(locked.c_str(), R_OK) != 0) {  // the superuser may read everything
    CHECK(io_error([&] { read_csv(locked); }) == locked.string() + ": cannot open for reading: Permission denied");
    CHECK(io_error([&] { CsvWriter(locked, {"a"}); }) ==
          locked.string() + ": cannot open for writing: Permission denied");
  }
  // A pipe has neither size nor offsets.
  const fs::path pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::ofstream(pipe) << npy_of("<f8", "(2,)", raw<double>({1, 2}));
    ::_exit(0);
  }
  CHECK(read_npy(pipe).values == Tensor<double>::of({1, 2}));
  CHECK(::waitpid(child, nullptr, 0) == child);
}

TEST_CASE("npy: types, orders, versions") {
  CHECK(values_of(npy_of("<f4", "(2,)", raw<float>({1.5f, -2}))) == Row{1.5, -2});
  CHECK(values_of(npy_of(">f4", "(2,)", raw<float>({1.5f, -2}, true))) == Row{1.5, -2});
  CHECK(values_of(npy_of("<f8", "(2,)", raw<double>({0.1, -2}))) == Row{0.1, -2});
  CHECK(values_of(npy_of(">f8", "(2,)", raw<double>({0.1, -2}, true))) == Row{0.1, -2});
  CHECK(values_of(npy_of("|i1", "(2,)", raw<std::int8_t>({-128, 127}))) == Row{-128, 127});
  CHECK(values_of(npy_of("<i2", "(2,)", raw<std::int16_t>({-300, 300}))) == Row{-300, 300});
  CHECK(values_of(npy_of(">i2", "(2,)", raw<std::int16_t>({-300, 300}, true))) == Row{-300, 300});
  CHECK(values_of(npy_of("<i4", "(2,)", raw<std::int32_t>({-70000, 3}))) == Row{-70000, 3});
  CHECK(values_of(npy_of(">i8", "(2,)", raw<std::int64_t>({-(1LL << 40), 3}, true))) == Row{-1099511627776.0, 3});
  CHECK(values_of(npy_of("|u1", "(2,)", raw<std::uint8_t>({255, 1}))) == Row{255, 1});
  CHECK(values_of(npy_of("<u2", "(2,)", raw<std::uint16_t>({65535, 1}))) == Row{65535, 1});
  CHECK(values_of(npy_of(">u4", "(2,)", raw<std::uint32_t>({4294967295u, 1}, true))) == Row{4294967295.0, 1});
  CHECK(values_of(npy_of("<u8", "(2,)", raw<std::uint64_t>({~0ull, 1}))) == Row{18446744073709551616.0, 1});
  CHECK(values_of(npy_of("|b1", "(3,)", std::string("\0\1\2", 3))) == Row{0, 1, 1});

  const std::string c_order = raw<double>({1, 2, 3, 4, 5, 6}), f_order = raw<double>({1, 4, 2, 5, 3, 6});
  for (const std::string& text : {npy_of("<f8", "(2, 3)", c_order), npy_of("<f8", "(2, 3)", f_order, true)}) {
    const NpyArray array = read_npy(bytes_of(text));
    CHECK(array.shape == std::vector<Index>{2, 3});
    CHECK(array.dtype == "<f8");
    CHECK(array.values == read_npy(bytes_of(npy_of("<f8", "(2, 3)", c_order))).values);
    Matrix<double> expected(2, 3);
    expected << 1, 2, 3, 4, 5, 6;
    CHECK(array.matrix() == expected);
  }
  const std::string header = "{'shape': (1, 2L), \"fortran_order\":True,'descr':'<f8'}";
  for (const int version : {1, 2, 3}) {
    const NpyArray array = read_npy(bytes_of(npy(header, raw<double>({1, 2}), version)));
    CHECK(array.shape == std::vector<Index>{1, 2});
    CHECK(array.fortran_order);
    CHECK(array.values[1] == 2);
  }
  // Rank 3 in Fortran order.
  std::string data;
  for (int c = 0; c < 4; ++c) {
    for (int b = 0; b < 3; ++b) {
      for (int a = 0; a < 2; ++a) data += raw<double>({static_cast<double>(100 * a + 10 * b + c)});
    }
  }
  const NpyArray cube = read_npy(bytes_of(npy_of("<f8", "(2, 3, 4)", data, true)));
  CHECK(cube.values[0] == 0);
  CHECK(cube.values[1 * 12 + 2 * 4 + 3] == 123);
  CHECK(cube.values[0 * 12 + 1 * 4 + 2] == 12);
  CHECK(cube.matrix().cols() == 12);
  CHECK(cube.matrix()(1, 11) == 123);
  CHECK(read_npy(bytes_of(npy_of("<f8", "(3,)", raw<double>({1, 2, 3})))).matrix().rows() == 3);
  CHECK(read_npy(bytes_of(npy_of("<f8", "()", raw<double>({7})))).matrix()(0, 0) == 7);
  for (const char* shape : {"(0,)", "(0, 3)", "(3, 0)", "(0, 0, 2)"}) {
    for (const bool fortran : {false, true}) CHECK(values_of(npy_of("<f8", shape, "", fortran)).empty());
  }
}

TEST_CASE("npy: errors") {
  CHECK(npy_error("") == "x.npy: not a NumPy file: it does not begin with \"\\x93NUMPY\"");
  CHECK(npy_error("a,b\n1,2\n3,4\n5,6\n") == "x.npy: not a NumPy file: it does not begin with \"\\x93NUMPY\"");
  CHECK(npy_error(npy("{}", "", 4)) == "x.npy: version 4.0 is not supported; expected 1.0, 2.0 or 3.0");
  CHECK(npy_error(npy_of("<f8", "(10, 3)", std::string(200, '\0'))) ==
        "x.npy: expected 240 bytes of data for shape (10, 3) and type \"<f8\", got 200");
  CHECK(npy_error(npy_of("<f8", "(1,)", std::string(9, '\0'))) ==
        "x.npy: expected 8 bytes of data for shape (1,) and type \"<f8\", got 9");
  CHECK(npy_error(npy_of("<f8", "(4611686018427387904, 4)", "")) ==
        "x.npy: header: shape (4611686018427387904, 4) is too large");
  CHECK(npy_error(npy_of("|u1", "(0, 4611686018427387904, 4)", "")) ==
        "x.npy: header: shape (0, 4611686018427387904, 4) is too large");
  CHECK(npy_error(npy_of("<f8", "(99999999999999999999,)", "")) ==
        "x.npy: header: shape: expected a size at \"99999999999999999999,), }\\n\"");
  CHECK(npy_error(npy_of("<f8", "(-1,)", "")) == "x.npy: header: shape: expected a size at \"-1,), }\\n\"");
  CHECK(npy_error(npy_of("<f8", "(1000000000000,)", "")) ==
        "x.npy: expected 8000000000000 bytes of data for shape (1000000000000,) and type \"<f8\", got 0");
  CHECK(npy_error(npy_of("|O", "(1,)", "")) ==
        "x.npy: arrays of Python objects are not read (they need pickle); save an array of numbers");
  for (const char* descr : {"<c16", "<f2", "<U3", "|S4", "f8", "|f8", "<f16", "", "<"}) {
    CHECK(npy_error(npy_of(descr, "(1,)", "")) ==
          "x.npy: type \"" + std::string(descr) +
              "\" is not supported; expected float32, float64, an integer type or "
              "bool");
  }
  CHECK(npy_error(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "")) ==
        "x.npy: structured arrays are not supported; save a plain array of numbers");
  CHECK(npy_error(npy("{'descr': '<f8', 'shape': (2,), }", "")) == "x.npy: header: 'fortran_order' is missing");
  CHECK(npy_error(npy("{'fortran_order': True, 'shape': (2,), }", "")) == "x.npy: header: 'descr' is missing");
  CHECK(npy_error(npy("{'fortran_order': True, 'descr': '<f8', }", "")) == "x.npy: header: 'shape' is missing");
  CHECK(npy_error(npy("{'descr': '<f8', 'descr': '<f8', }", "")) == "x.npy: header: 'descr' occurs twice");
  CHECK(npy_error(npy("{'other': 1}", "")) == "x.npy: header: unknown key \"other\"");
  CHECK(npy_error(npy("{'fortran_order': 0}", "")) == "x.npy: header: fortran_order: expected True or False at \"0}\"");
  CHECK(npy_error(npy("{'shape': (2)}", "")) == "x.npy: header: shape: expected ',' after the only size");
  CHECK(npy_error(npy_of("<f8", "()", raw<double>({1})) + "x") ==
        "x.npy: expected 8 bytes of data for shape () and type \"<f8\", got 9");
  CHECK(npy_error(npy("{'descr': '<f8', 'fortran_order': False, 'shape': ()} x", "")) ==
        "x.npy: header: unexpected text after the dictionary");
  CHECK(npy_error(npy(std::string(70000, ' '), "", 2)) ==
        "x.npy: header: 70000 bytes are more than the limit of 65536");
  const double nan = std::nan("");
  const std::string with_nan = npy_of("<f8", "(2, 2)", raw<double>({1, 2, nan, 4}));
  CHECK(npy_error(with_nan) == "x.npy: expected finite numbers, got nan at index [1, 0]");
  CHECK(std::isnan(read_npy(bytes_of(with_nan), "x.npy", {.allow_non_finite = true}).values[2]));
  CHECK(npy_error(npy_of("<f8", "(2, 2)", raw<double>({1, 2, nan, 4}), true)) ==
        "x.npy: expected finite numbers, got nan at index [0, 1]");
}

TEST_CASE("npy: damaged files load or throw IoError") {
  const auto survives = [](const std::vector<std::byte>& bytes) {
    try {
      const NpyArray array = read_npy(bytes, "x.npy", {.allow_non_finite = true});
      return array.values.size() * 8 <= static_cast<Index>(bytes.size()) * 8;
    } catch (const IoError&) {
      return true;
    }
  };
  const auto whole = bytes_of(npy_of("<f8", "(2, 3)", raw<double>({1, 2, 3, 4, 5, 6}), true));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_THROWS_AS(read_npy(part), IoError);
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      auto changed = whole;
      changed[i] = static_cast<std::byte>(value);
      if (!survives(changed)) FAIL("byte " << i << " = " << value);
    }
  }
}

TEST_CASE("npy: writing") {
  const Folder folder;
  Eigen::MatrixXd values = Eigen::MatrixXd::Random(1000, 3);
  write_npy(folder / "a.npy", values);
  CHECK(read_npy(folder / "a.npy").matrix() == values);
  CHECK(fs::file_size(folder / "a.npy") == 128 + 8 * 3000);  // data begin at a multiple of 64
  CHECK(folder.text_of("a.npy").substr(0, 10) == std::string("\x93NUMPY\1\0\x76\0", 10));
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> floats = values.cast<float>();
  write_npy(folder / "b.npy", floats);
  CHECK(read_npy(folder / "b.npy").dtype == "<f4");
  CHECK(read_npy(folder / "b.npy").matrix() == floats.cast<double>());
  Eigen::VectorXd vector = values.col(1);
  write_npy_vector(folder / "c.npy", vector);
  CHECK(read_npy(folder / "c.npy").shape == std::vector<Index>{1000});
  CHECK(read_npy(folder / "c.npy").matrix() == vector);
  write_npy(folder / "d.npy", Eigen::MatrixXd(0, 2));
  CHECK(read_npy(folder / "d.npy").shape == std::vector<Index>{0, 2});

  NpyWriter writer(folder / "e.npy", 1000, 3, NpyWriter::Type::float32);
  writer.write(values.topRows(400));
  CHECK_THROWS_WITH(writer.commit(), "NpyWriter::commit: expected 1000 rows in all, got 400");
  CHECK_THROWS_WITH(writer.write(values), "NpyWriter::write: expected at most (600, 3), got (1000, 3)");
  CHECK_THROWS_AS(writer.write(values.leftCols(2)), ShapeError);
  writer.write(floats.bottomRows(600));
  writer.commit();
  CHECK_THROWS_AS(writer.write(values.topRows(0)), Error);
  CHECK(read_npy(folder / "e.npy").matrix() == floats.cast<double>());
  CHECK_THROWS_AS(NpyWriter(folder / "f.npy", -1, 2), ShapeError);
  { NpyWriter abandoned(folder / "g.npy", 5, 2); }
  CHECK(folder.files() == Names{"a.npy", "b.npy", "c.npy", "d.npy", "e.npy"});
}

TEST_CASE("npz: archives of NumPy") {
  const Folder folder;
  const auto bytes = from_hex(kSavez);
  const NpzFile archive(bytes, "x.npz");
  CHECK(archive.names() == Names{"x", "labels"});
  Matrix<double> expected(3, 2);
  expected << 1.5, -2, 3, 4, 5, 6;
  CHECK(archive.get("x").matrix() == expected);
  CHECK(archive.get("labels").values == Tensor<double>::of({0, 1, 2}));
  CHECK(archive.get("labels").dtype == "<i4");
  CHECK(io_error([&] { archive.get("y"); }) == "x.npz: no array \"y\"; the arrays are: \"x\", \"labels\"");
  folder.put("x.npz", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  CHECK(NpzFile(folder / "x.npz").get("x").matrix() == expected);

  const auto compressed = from_hex(kCompressed);
  const NpzFile deflated(compressed, "z.npz");
  CHECK(io_error([&] { deflated.get("x"); }) == "z.npz: member \"x\": compressed member; save with np.savez");

  auto damaged = bytes;
  damaged[200] ^= std::byte{1};  // in the values of x
  CHECK_THAT(io_error([&] { NpzFile(damaged, "x.npz").get("x"); }),
             Catch::Matchers::ContainsSubstring("x.npz: member \"x\": the checksum is ") &&
                 Catch::Matchers::ContainsSubstring(", expected d9909925: the file is damaged"));
  CHECK(io_error([] { NpzFile(bytes_of("no archive"), "x.npz"); }) ==
        "x.npz: not a zip archive: there is no directory at its end");

  const auto survives = [](const std::vector<std::byte>& b) {
    try {
      const NpzFile file(b, "x.npz");
      for (const std::string& name : file.names()) {
        try {
          file.get(name);
        } catch (const IoError&) {
        }
      }
    } catch (const IoError&) {
    }
    return true;
  };
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<std::byte> part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_THROWS_AS(NpzFile(part), IoError);
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
      auto changed = bytes;
      changed[i] = static_cast<std::byte>(value);
      if (!survives(changed)) FAIL("byte " << i << " = " << value);
    }
  }
}

TEST_CASE("safetensors: a file of the official package") {
  const auto bytes = from_hex(kOfficial);
  const SafetensorsFile file = SafetensorsFile::read(bytes, "m.st");
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "np"}, {"text", "\u00fc \"x\""}});
  Names names;
  for (const NamedTensor& tensor : file.tensors()) names.push_back(tensor.name);
  CHECK(names == Names{"a", "b.weight", "e", "n", "u"});
  const Tensor<float> weight = file.get<float>("b.weight", {2, 3});
  CHECK(weight.shape() == std::vector<Index>{2, 3});
  CHECK(weight(1, 2) == 6);
  CHECK(file.get<double>("a") == Tensor<double>::of({0.5}));
  CHECK(file.get<std::int64_t>("n") == Tensor<std::int64_t>::of({0, 1, 2, 3}));
  CHECK(file.get<std::uint8_t>("u") == Tensor<std::uint8_t>::of({1, 2, 255}));
  CHECK(file.get<float>("e").shape() == std::vector<Index>{0, 2});
  REQUIRE(file.find("u") != nullptr);
  CHECK(file.find("u")->dtype == "U8");
  CHECK(file.find("zz") == nullptr);
  CHECK(io_error([&] { file.get<float>("zz"); }) == "m.st: tensor \"zz\" is missing");
  CHECK(io_error([&] { file.get<float>("zz", {1}); }) == "m.st: tensor \"zz\" is missing");
  CHECK(io_error([&] { file.get<double>("b.weight"); }) == "m.st: tensor \"b.weight\": expected dtype F64, got F32");
  CHECK(io_error([&] { file.get<std::int32_t>("n", {4}); }) == "m.st: tensor \"n\": expected dtype I32, got I64");
  CHECK(io_error([&] {
          file.get<float>("b.weight", {3, 2});
        }) == "m.st: tensor \"b.weight\": expected shape (3, 2), got (2, 3)");
  CHECK(
      serialize_safetensors(file.tensors(), file.metadata()) ==
      serialize_safetensors(std::vector<NamedTensor>(file.tensors().rbegin(), file.tensors().rend()), file.metadata()));
  // Data of any alignment.
  std::vector<std::byte> shifted(1);
  shifted.insert(shifted.end(), bytes.begin(), bytes.end());
  CHECK(SafetensorsFile::read(std::span(shifted).subspan(1)).get<double>("a") == Tensor<double>::of({0.5}));
}

TEST_CASE("safetensors: writing") {
  const Folder folder;
  Tensor<double> a({2, 2});
  a[3] = 0.1;
  const Tensor<float> b = Tensor<float>::of({1, 2, 3});
  const Tensor<std::int64_t> c = Tensor<std::int64_t>::of({-1});
  const Tensor<std::int32_t> d({0, 5});
  const Tensor<std::uint8_t> e({}, 9);
  const std::string odd = "odd \"name\" \u00e9\n";
  const std::vector<NamedTensor> tensors = {named_tensor("z", e), named_tensor("b", b), named_tensor("a.x", a),
                                            named_tensor(odd, c), named_tensor("d", d)};
  const std::map<std::string, std::string> metadata = {{"k", "{\"nested\": [1]}"}, {"", ""}};
  const fs::path path = folder / "m.safetensors";
  write_safetensors(path, tensors, metadata);
  CHECK(folder.files() == Names{"m.safetensors"});
  SafetensorsFile read = SafetensorsFile::read(path);
  const SafetensorsFile file = std::move(read);
  CHECK(file.metadata() == metadata);
  CHECK(file.get<double>("a.x", {2, 2}) == a);
  CHECK(file.get<float>("b") == b);
  CHECK(file.get<std::int64_t>(odd) == c);
  CHECK(file.get<std::int32_t>("d") == d);
  CHECK(file.get<std::uint8_t>("z", {}) == e);
  const auto bytes = serialize_safetensors(tensors, metadata);
  CHECK(folder.text_of("m.safetensors") == std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  CHECK(length % 8 == 0);
  CHECK(SafetensorsFile::read(serialize_safetensors({})).tensors().empty());

  const std::vector<std::byte> four(4);
  const auto error = [&](const std::vector<NamedTensor>& list, const std::map<std::string, std::string>& text = {}) {
    return io_error([&] { write_safetensors(path, list, text); });
  };
  const std::string name = path.string();
  CHECK(error({{"t", "F32", {1}, four}, {"t", "U8", {4}, four}}) == name + ": tensor \"t\": the name occurs twice");
  CHECK(error({{"t", "F32", {2}, four}}) == name + ": tensor \"t\": shape (2,) and dtype \"F32\" need 8 bytes, got 4");
  CHECK(error({{"t", "F32", {-1}, four}}) ==
        name + ": tensor \"t\": shape (-1,) and dtype \"F32\" need too many bytes, got 4");
  CHECK(error({{"t", "X", {1}, four}}) == name + ": tensor \"t\": unknown dtype \"X\"");
  CHECK(error({{"__metadata__", "F32", {1}, four}}) == name + ": tensor \"__metadata__\": the name is reserved");
  CHECK(error({{"\xff", "F32", {1}, four}}) == name + ": tensor \"\xff\": the text is not UTF-8");
  CHECK(error({}, {{"k", "\xc3"}}) == name + ": metadata \"k\": the text is not UTF-8");
  CHECK(SafetensorsFile::read(path).metadata() == metadata);  // untouched by the failures
  CHECK(folder.files() == Names{"m.safetensors"});
}

TEST_CASE("safetensors: errors name the file and the field") {
  const auto entry = [](const std::string& name, const std::string& dtype, const std::string& shape,
                        const std::string& offsets) {
    return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" + offsets +
           "]}";
  };
  const auto one = [&](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return safetensors_error("{" + entry("a", dtype, shape, offsets) + "}", "12345678");
  };
  CHECK(io_error([] { SafetensorsFile::read(bytes_of("1234567"), "m.st"); }) ==
        "m.st: not a safetensors file: expected at least 8 bytes, got 7");
  CHECK(io_error([] { SafetensorsFile::read(bytes_of("12345678"), "m.st"); }) ==
        "m.st: not a safetensors file: a header of 4050765991979987505 bytes is more than the limit of 100000000");
  CHECK(io_error([] { SafetensorsFile::read(bytes_of(std::string("\x09\0\0\0\0\0\0\0{}", 10)), "m.st"); }) ==
        "m.st: header: expected 9 bytes, the file has 2");
  CHECK(safetensors_error("") == "m.st: not a safetensors file: the header is not a JSON object");
  CHECK(safetensors_error("[]") == "m.st: not a safetensors file: the header is not a JSON object");
  CHECK_THAT(safetensors_error("{\"a\""), Catch::Matchers::StartsWith("m.st: header: not valid JSON near byte 5: "));
  CHECK_THAT(safetensors_error("{} x"), Catch::Matchers::StartsWith("m.st: header: not valid JSON near byte "));
  CHECK_THAT(safetensors_error("{\"\xff\":1}"), Catch::Matchers::StartsWith("m.st: header: not valid JSON near byte "));
  CHECK(safetensors_error("{\"a\":1}") == "m.st: header: \"a\": expected an object, got 1");
  CHECK(safetensors_error("{\"a\":[]}") == "m.st: header: \"a\": expected an object, got an array");
  CHECK(safetensors_error("{\"__metadata__\":{\"k\":1}}") == "m.st: metadata \"k\": expected a string, got 1");
  CHECK(safetensors_error("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}") ==
        "m.st: metadata \"k\": the key occurs twice");
  CHECK(safetensors_error("{\"__metadata__\":{\"k\":{}}}") == "m.st: metadata \"k\": expected a string, got an object");
  CHECK(safetensors_error("{\"a\":{}}") == "m.st: tensor \"a\": dtype is missing");
  CHECK(safetensors_error("{\"a\":{\"dtype\":\"U8\"}}") == "m.st: tensor \"a\": shape is missing");
  CHECK(safetensors_error("{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}") == "m.st: tensor \"a\": data_offsets is missing");
  CHECK(safetensors_error("{\"a\":{\"dtype\":1}}") == "m.st: tensor \"a\": dtype: expected a string, got 1");
  CHECK(safetensors_error("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}") == "m.st: tensor \"a\": dtype occurs twice");
  CHECK(safetensors_error("{\"a\":{\"other\":1}}") == "m.st: tensor \"a\": unknown field \"other\"");
  CHECK(safetensors_error("{\"a\":{\"shape\":4}}") == "m.st: tensor \"a\": shape: expected an array of sizes, got 4");
  CHECK(one("U8", "-1", "0,8") == "m.st: tensor \"a\": shape: expected whole numbers >= 0, got -1");
  CHECK(one("U8", "1.5", "0,8") == "m.st: tensor \"a\": shape: expected whole numbers >= 0, got 1.5");
  CHECK(one("U8", "[8]", "0,8") == "m.st: tensor \"a\": shape: expected whole numbers >= 0, got an array");
  CHECK(one("U8", "9223372036854775808", "0,8") == "m.st: tensor \"a\": shape: 9223372036854775808 is too large");
  CHECK(one("U8", "4294967296,4294967296", "0,8") ==
        "m.st: tensor \"a\": shape: (4294967296, 4294967296) is too large");
  CHECK(one("F64", "2305843009213693953", "0,8") == "m.st: tensor \"a\": shape: (2305843009213693953,) is too large");
  CHECK(one("U8", "0,4294967296,4294967296", "0,0") ==
        "m.st: tensor \"a\": shape: (0, 4294967296, 4294967296) is too large");
  CHECK(one("U8", "8", "0") == "m.st: tensor \"a\": data_offsets: expected two numbers, got 1");
  CHECK(one("U8", "8", "0,8,8") == "m.st: tensor \"a\": data_offsets: expected two numbers, got more");
  CHECK(one("U8", "8", "0,9") == "m.st: tensor \"a\": data_offsets: [0, 9] is not inside the 8 bytes of data");
  CHECK(one("U8", "8", "8,0") == "m.st: tensor \"a\": data_offsets: [8, 0] is not inside the 8 bytes of data");
  CHECK(one("U8", "8", "18446744073709551608,18446744073709551615") ==
        "m.st: tensor \"a\": data_offsets: [18446744073709551608, 18446744073709551615] is not inside the 8 bytes of "
        "data");
  CHECK(one("F32", "1", "0,8") == "m.st: tensor \"a\": shape (1,) and dtype \"F32\" need 4 bytes, got 8");
  CHECK(one("F32", "1", "0,4") == "m.st: the tensors take 4 bytes of data, the file has 8");
  CHECK(one("F33", "2", "0,8") == "m.st: tensor \"a\": unknown dtype \"F33\"");
  CHECK(one("U8", "4", "4,8") ==
        "m.st: tensor \"a\": data_offsets: begins at 4, leaving a hole after the tensor before it, which ends at 0");
  CHECK(safetensors_error("{" + entry("a", "U8", "6", "0,6") + "," + entry("b", "F32", "1", "4,8") + "}", "12345678") ==
        "m.st: tensor \"b\": data_offsets: begins at 4, inside the tensor before it, which ends at 6");
  CHECK(safetensors_error("{" + entry("a", "U8", "8", "0,8") + "," + entry("a", "U8", "0", "8,8") + "}", "12345678") ==
        "m.st: header: the name \"a\" occurs twice");
  CHECK(safetensors_error("{}", "x") == "m.st: the tensors take 0 bytes of data, the file has 1");
  // Deep nesting ends at once, whatever its depth.
  const std::string deep(10'000'000, '[');
  CHECK(safetensors_error("{\"a\":" + deep) == "m.st: header: \"a\": expected an object, got an array");
  CHECK(safetensors_error("{\"a\":{\"shape\":" + deep) ==
        "m.st: tensor \"a\": shape: expected whole numbers >= 0, got an array");
}

TEST_CASE("safetensors: damaged files load or throw IoError") {
  const auto whole = from_hex(kOfficial);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_THROWS_AS(SafetensorsFile::read(part), IoError);
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      auto changed = whole;
      changed[i] = static_cast<std::byte>(value);
      try {
        const SafetensorsFile file = SafetensorsFile::read(changed);
        std::size_t total = 0;
        for (const NamedTensor& tensor : file.tensors()) total += tensor.bytes.size();
        if (total > whole.size()) FAIL("byte " << i << " = " << value);
      } catch (const IoError&) {
      }
    }
  }
}
