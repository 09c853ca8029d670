// Packed tables (gzip, archives of numpy.savez_compressed) and every type of NumPy. The files are those that
// tests/oracles/table_files.py makes with NumPy 2.4.6 and Python's gzip and zlib.

#include <cmath>
#include <limits>
#include <pushforward/error.hpp>
#include <pushforward/io/table.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/files.hpp"

using namespace pushforward;
using namespace file_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

const fs::path kTables = fs::path(PUSHFORWARD_TEST_DATA) / "tables";

std::string bytes_in(const std::string& name) {
  std::ifstream in(kTables / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string error_of(const std::string& name) {
  const std::string folder = kTables.string() + "/";
  const std::string text = io_error([&] { read_table(kTables / name); });
  return text.starts_with(folder) ? text.substr(folder.size()) : text;
}

Matrix<double> matrix(std::initializer_list<std::initializer_list<double>> rows) { return Matrix<double>(rows); }

// Every one of these is the table, or an IoError; nothing else.
void damage(const std::string& whole, const Matrix<double>& expected, const std::function<Table(std::string)>& read) {
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK_THROWS_AS(read(whole.substr(0, size)), IoError);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int bit : {1, 16, 128}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ bit);
      try {
        // Flags, the time and the name of a file say nothing of its content.
        if (read(changed).values != expected) FAIL("byte " << i << " is changed, the numbers with it");
      } catch (const IoError&) {
      }
    }
  }
}

}  // namespace

TEST_CASE("packed: text") {
  const Matrix<double> expected = matrix({{1, 2.5}, {-3, 400}});
  for (const char* name : {"packed.csv.gz", "members.csv.gz"}) {
    const Table table = read_table(kTables / name);
    CHECK(table.names == Names{"x", "y"});
    CHECK(table.values == expected);
    CHECK(table.lines == std::vector<Index>{2, 3});
    CHECK(parse_csv(bytes_in(name)).values == expected);
  }
  const Folder folder;
  CHECK(read_csv(folder.put("plain.csv", bytes_in("packed.csv.gz"))).values == expected);
  CHECK(table_format("a.csv.gz") == TableFormat::text);
  CHECK(table_format("A.NPY.GZ") == TableFormat::npy);
  CHECK_FALSE(table_format("a.parquet.gz"));

  const auto error = [](const std::string& bytes) { return io_error([&] { parse_csv(bytes, "x.gz"); }); };
  std::string packed = bytes_in("packed.csv.gz");
  CHECK(error(packed.substr(0, packed.size() - 1)) ==
        "x.gz: the compressed data end too early: the file is not complete");
  CHECK(error(packed + "more") == "x.gz: the compressed data are damaged (incorrect header check)");
  packed[packed.size() - 5] ^= 1;  // of the checksum
  CHECK(error(packed) == "x.gz: the compressed data are damaged (incorrect data check)");
  packed = bytes_in("packed.csv.gz");
  packed.back() ^= 1;  // of the length
  CHECK(error(packed) == "x.gz: the compressed data are damaged (incorrect length check)");
  damage(bytes_in("packed.csv.gz"), expected, [](const std::string& bytes) { return parse_csv(bytes); });
}

TEST_CASE("packed: arrays") {
  CHECK(read_table(kTables / "packed.npy.gz").values == matrix({{1.5, -2}, {3, 4}}));
  const Folder folder;
  CHECK(read_npy(folder.put("x.npy", bytes_in("packed.npy.gz"))).matrix() == matrix({{1.5, -2}, {3, 4}}));
  damage(bytes_in("packed.npy.gz"), matrix({{1.5, -2}, {3, 4}}), [](const std::string& bytes) {
    return Table{.names = {}, .values = read_npy(bytes_of(bytes)).matrix(), .lines = {}};
  });
  // What 93 bytes cannot hold is refused before memory is taken for it.
  CHECK_THAT(error_of("promise.npy.gz"), ContainsSubstring("expected 16000000000000 bytes of data for shape "
                                                           "(1000000000000, 2) and type \"<f8\", got at most"));
  CHECK(io_error([&] { NpzFile(folder.put("x.npz", bytes_in("packed.csv.gz"))); })
            .ends_with("x.npz: the archive is packed once more, by gzip; unpack it: gunzip"));
}

TEST_CASE("packed: archives") {
  const NpzFile archive(kTables / "packed.npz");
  CHECK(archive.names() == Names{"x", "f"});
  const NpyArray x = archive.get("x");
  REQUIRE(x.shape == std::vector<Index>{10000, 2});
  bool same = true;
  for (Index i = 0; i < 20000; ++i) same = same && x.values[i] == static_cast<double>(i);
  CHECK(same);
  CHECK(archive.get("f").fortran_order);
  CHECK(archive.get("f").matrix() == matrix({{0, 0.25}, {0.5, 0.75}, {1, 1.25}}));
  CHECK(read_table(kTables / "packed_64.npz").values == matrix({{1.5, -2}, {3, 4}}));

  CHECK(error_of("packed_more.npz") ==
        "packed_more.npz: member \"x\": unpacks to more than the 1000 bytes that it says");
  CHECK(error_of("packed_less.npz") == "packed_less.npz: member \"x\": unpacks to 160 bytes and says 1099511627776");
  CHECK(error_of("packed_cut.npz") ==
        "packed_cut.npz: member \"x\": the compressed data end too early: the file is not complete");
  CHECK_THAT(error_of("packed_crc.npz"), ContainsSubstring("expected 00000001: the file is damaged"));
  damage(bytes_in("packed_64.npz"), matrix({{1.5, -2}, {3, 4}}), [](const std::string& bytes) {
    const std::vector<std::byte> own = bytes_of(bytes);
    const NpzFile file(own);
    if (file.names().size() != 1) throw IoError("other members");
    return Table{.names = {}, .values = file.get(file.names().front()).matrix(), .lines = {}};
  });
}

TEST_CASE("npy: every type of NumPy") {
  const NpzFile types(kTables / "types.npz");
  const auto values = [&](const std::string& name) {
    const NpyArray array = types.get(name, {.allow_non_finite = true});
    return Row(array.values.data(), array.values.data() + array.values.size());
  };
  for (const std::string order : {"le_", "be_"}) {
    CHECK(values(order + "i2") == Row{-32768, 1, 32767});
    CHECK(values(order + "u2") == Row{0, 1, 65535});
    CHECK(values(order + "i4") == Row{-2147483648.0, 1, 2147483647});
    CHECK(values(order + "u4") == Row{0, 1, 4294967295.0});
    CHECK(values(order + "i8") == Row{-9223372036854775808.0, 1, 9223372036854775808.0});
    CHECK(values(order + "u8") == Row{0, 1, 18446744073709551616.0});
    CHECK(values(order + "f4") == Row{static_cast<double>(0.1f), -2});
    CHECK(values(order + "f8") == Row{0.1, -2});
    // IEEE 754-2008, binary16: the largest number, the least normal one and its neighbour below, the least one.
    constexpr double kInf = std::numeric_limits<double>::infinity();
    Row halves = values(order + "f2");
    REQUIRE(halves.size() == 11);
    CHECK(std::isnan(halves.back()));
    CHECK(std::signbit(halves[7]));
    halves.pop_back();
    CHECK(halves == Row{1, -2, 0.0999755859375, 65504, 6.103515625e-05, 6.097555160522461e-05, 5.960464477539063e-08, 0,
                        kInf, -kInf});
  }
  CHECK(values("i1") == Row{-128, 1, 127});
  CHECK(values("u1") == Row{0, 1, 255});
  CHECK(values("b1") == Row{0, 1, 1});
  const auto refused = [&](const char* name, const char* text) {
    CHECK_THAT(io_error([&] { types.get(name); }), ContainsSubstring(text));
  };
  refused("long_double", "numpy.longdouble differs between machines: save x.astype('f8')");
  refused("complex", "complex numbers are two columns: save numpy.stack((x.real, x.imag), -1)");
  refused("date", "dates and times are no numbers: save x.astype('i8')");
  refused("text", "text and raw bytes are no numbers");
}

TEST_CASE("npy: structured arrays are tables with names") {
  const Matrix<double> expected = matrix({{1.5, -3, 1}, {2.5, 300, 0}});
  for (const char* name : {"fields.npy", "fields_aligned.npy"}) {
    const Table table = read_table(kTables / name);
    CHECK(table.names == Names{"x", "n", "ok"});
    CHECK(table.values == expected);
    CHECK(read_table(kTables / name, {.columns = {"n", "x"}}).values == matrix({{-3, 1.5}, {300, 2.5}}));
    const NpyArray array = read_npy(kTables / name);
    CHECK(array.fields == Names{"x", "n", "ok"});
    CHECK(array.shape == std::vector<Index>{2, 3});
    CHECK(array.dtype.starts_with("[('x', '<f8'), ('n', '>i2'), ('ok', '|b1')"));
  }
  for (const char* name : {"fields_of_fields.npy", "fields_of_arrays.npy"})
    CHECK(error_of(name) == std::string(name) + ": structured arrays are read whose fields are single numbers; field "
                                                "\"v\" is not: save it as an array of its own");
  const auto error = [](const std::string& head, const std::string& data) {
    return io_error([&] { read_npy(bytes_of(npy(head, data)), "x.npy"); });
  };
  CHECK(error("{'descr': [('a', '<f4'), ('t', '<U3')], 'fortran_order': False, 'shape': (0,), }", "")
            .starts_with("x.npy: field \"t\": type \"<U3\" is not supported; text and raw bytes are no numbers"));
  CHECK(error("{'descr': [('a', '<f4'), ('a', '<f4')], 'fortran_order': False, 'shape': (0,), }", "") ==
        "x.npy: header: two fields have the name \"a\"");
  CHECK(error("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1), }", "1234") ==
        "x.npy: a structured array has one axis, its fields are the columns; got shape (1, 1)");
  CHECK(error("{'descr': [], 'fortran_order': False, 'shape': (0,), }", "").starts_with("x.npy: type \"[]\""));
  CHECK(error("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "1234") ==
        "x.npy: expected 8 bytes of data for shape (2,) and type of 1 fields, got 4");
}
