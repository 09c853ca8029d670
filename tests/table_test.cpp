// read_table and TableReader: one call for text, .npy and .npz. The archives of tests/data/tables are numpy.savez's.

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <pushforward/error.hpp>
#include <pushforward/io/table.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/files.hpp"

using namespace pushforward;
using namespace file_tests;

namespace {

const fs::path kTables = fs::path(PUSHFORWARD_TEST_DATA) / "tables";

Matrix<double> matrix(std::initializer_list<std::initializer_list<double>> rows) { return Matrix<double>(rows); }

// (3, 2): 1 2; 3 4; 5 6
std::string six(bool fortran = false) {
  return npy_of("<f8", "(3, 2)", fortran ? raw<double>({1, 3, 5, 2, 4, 6}) : raw<double>({1, 2, 3, 4, 5, 6}), fortran);
}

std::string table_error(const fs::path& path, const TableOptions& options = {}) {
  const std::string text = io_error([&] { read_table(path, options); });
  const std::string folder = path.parent_path().string() + "/";
  return text.starts_with(folder) ? text.substr(folder.size()) : text;
}

}  // namespace

TEST_CASE("table: the extension says what a file is") {
  for (const char* name : {"a.csv", "a.tsv", "a.txt", "a.dat", "a.data", "A.CSV", "a", "-", ".hidden", "/dev/fd/63"})
    CHECK(table_format(name) == TableFormat::text);
  for (const char* name : {"a.npy", "a.csv.npy", "A.NPY", "b/.c/a.npy"}) CHECK(table_format(name) == TableFormat::npy);
  for (const char* name : {"a.npz", "a.Npz"}) CHECK(table_format(name) == TableFormat::npz);
  for (const char* name : {"a.parquet", "a.tmp.gz", "a.np", "a.npyz", "a."}) CHECK_FALSE(table_format(name));

  const Folder folder;
  const fs::path odd = folder.put("tmp.X7", "a,b\n1,2\n");
  CHECK(table_error(odd) ==
        "tmp.X7: the extension \".X7\" says nothing of the format; known are .csv, .tsv, .txt, .dat, .data, .npy, "
        ".npz; give TableOptions::format");
  CHECK(read_table(odd, {.format = TableFormat::text}).values == matrix({{1, 2}}));
  CHECK(read_table(folder.put("array", six()), {.format = TableFormat::npy}).values.rows() == 3);
  CHECK(table_error(folder / "none.npy") == "none.npy: cannot open for reading: No such file or directory");
  CHECK(table_error(folder.put("text.npy", "a,b\n1,2\n")).starts_with("text.npy: "));
  CHECK(table_error("-", {.format = TableFormat::npy}) ==
        "standard input: arrays are read from files; write it to one first");
}

TEST_CASE("table: text is what read_csv reads") {
  const Folder folder;
  const fs::path path = folder.put("t.txt", "x y id\n1 2 a\n\n3 4 b\n");
  const Table table = read_table(path, {.drop = {"id"}});
  CHECK(table.names == Names{"x", "y"});
  CHECK(table.values == matrix({{1, 2}, {3, 4}}));
  CHECK(table.lines == std::vector<Index>{2, 4});
  CHECK(read_table(path, {.columns = {"y", "x"}}).values == matrix({{2, 1}, {4, 3}}));
  CHECK(table_error(path) == "t.txt:2: column 3 (\"id\"): expected a number, got \"a\"; no numbers: \"id\" in 2 rows; drop "
                             "id");
  CHECK(table_error(path, {.columns = {"z"}}) ==
        io_error([&] { read_csv(path, {.columns = {"z"}}); }).substr(path.parent_path().string().size() + 1));
  const fs::path odd = folder.put("o.csv", "x\nnan\n");
  CHECK(table_error(odd) == "o.csv:2: column 1 (\"x\"): expected a finite number, got \"nan\"");
  CHECK(std::isnan(read_table(odd, {.allow_non_finite = true}).values(0, 0)));
  const fs::path empty = folder.put("e.csv", "x,y\n");
  CHECK(table_error(empty) == "e.csv: the file has no rows after the header");
  CHECK(read_table(empty, {.allow_empty = true}).names == Names{"x", "y"});
}

TEST_CASE("table: arrays of NumPy") {
  const Folder folder;
  for (const bool fortran : {false, true}) {
    const Table table = read_table(folder.put("a.npy", six(fortran)));
    CHECK(table.names == Names{"c0", "c1"});
    CHECK(table.values == matrix({{1, 2}, {3, 4}, {5, 6}}));
    CHECK(table.lines == std::vector<Index>{0, 1, 2});
  }
  const fs::path path = folder / "a.npy";
  CHECK(read_table(path, {.columns = {"c1"}}).values == matrix({{2}, {4}, {6}}));
  const Table swapped = read_table(path, {.columns = {"c1", "c0"}});
  CHECK(swapped.names == Names{"c1", "c0"});
  CHECK(swapped.values == matrix({{2, 1}, {4, 3}, {6, 5}}));
  CHECK(read_table(path, {.drop = {"c0"}}).names == Names{"c1"});
  CHECK(read_table(folder.put("v.npy", npy_of("<i4", "(3,)", raw<std::int32_t>({7, 8, 9})))).values ==
        matrix({{7}, {8}, {9}}));
  CHECK(read_table(folder.put("s.npy", npy_of("<f8", "()", raw<double>({7})))).values == matrix({{7}}));

  CHECK(table_error(path, {.columns = {"c7"}}) ==
        "a.npy: no column \"c7\" (did you mean \"c0\"?); the columns are \"c0\", \"c1\"");
  CHECK(table_error(path, {.columns = {"c1", "c1"}}) == "a.npy: column \"c1\" is selected twice");
  CHECK(table_error(path, {.drop = {"width"}}) == "a.npy: no column \"width\"; the columns are \"c0\", \"c1\"");
  CHECK(table_error(path, {.drop = {"c0", "c1"}}) == "a.npy: no column is left to read");
  CHECK(table_error(path, {.array = "x"}) ==
        "a.npy: array \"x\" is asked for, but only .npz archives hold arrays by name");
  CHECK(table_error(folder.put("cube.npy", npy_of("<f8", "(1, 2, 1)", raw<double>({1, 2})))) ==
        "cube.npy: expected an array of rows and columns, got shape (1, 2, 1); reshape it to (N, D)");
  const fs::path odd = folder.put("o.npy", npy_of("<f8", "(2, 1)", raw<double>({1, std::nan("")})));
  CHECK(table_error(odd) == "o.npy: row 1 (from 0), column 1 (\"c0\"): expected a finite number, got nan");
  CHECK(std::isnan(read_table(odd, {.allow_non_finite = true}).values(1, 0)));
  const std::string cut = six().substr(0, six().size() - 8);
  CHECK(table_error(folder.put("cut.npy", cut)).starts_with("cut.npy: expected 48 bytes"));
}

TEST_CASE("table: arrays without rows or columns") {
  const Folder folder;
  const fs::path rows = folder.put("r.npy", npy_of("<f8", "(0, 2)", ""));
  CHECK(table_error(rows) == "r.npy: the file has no rows");
  const Table table = read_table(rows, {.allow_empty = true});
  CHECK(table.names == Names{"c0", "c1"});
  CHECK(table.values.rows() == 0);
  CHECK(table.values.cols() == 2);
  const fs::path columns = folder.put("c.npy", npy_of("<f8", "(2, 0)", ""));
  CHECK(table_error(columns) == "c.npy: the array has no columns");
  CHECK(read_table(columns, {.allow_empty = true}).values.rows() == 2);
  // No memory is taken for names that the file has no bytes for.
  const fs::path wide = folder.put("w.npy", npy_of("<f8", "(0, 100000000000000000)", ""));
  CHECK(table_error(wide, {.allow_empty = true}) ==
        "w.npy: shape (0, 100000000000000000) has too many columns for an array without rows");
}

TEST_CASE("table: archives of NumPy") {
  const Table vectors = read_table(kTables / "vectors.npz");
  CHECK(vectors.names == Names{"width", "height"});
  CHECK(vectors.values == matrix({{1.5, 10}, {-2, 20}, {3, 30}}));
  CHECK(vectors.lines == std::vector<Index>{0, 1, 2});
  CHECK(read_table(kTables / "vectors.npz", {.columns = {"height", "width"}}).values ==
        matrix({{10, 1.5}, {20, -2}, {30, 3}}));
  CHECK(read_table(kTables / "vectors.npz", {.array = "height"}).names == Names{"c0"});

  const Table single = read_table(kTables / "single.npz");
  CHECK(single.names == Names{"c0", "c1", "c2"});
  CHECK(single.values == matrix({{1, 2, 3}, {4, 5, 6}}));

  const fs::path several = kTables / "several.npz";
  CHECK(read_table(several, {.array = "x"}).values == matrix({{1.5, -2}, {3, 4}, {5, 6}}));
  CHECK(table_error(several) ==
        "several.npz: holds several arrays (\"x\", \"labels\", \"cube\"); choose one with TableOptions::array");
  CHECK(table_error(several, {.array = "y"}) ==
        "several.npz: no array \"y\"; the arrays are: \"x\", \"labels\", \"cube\"");
  CHECK(table_error(several, {.array = "cube"}) ==
        "several.npz: cube: expected an array of rows and columns, got shape (2, 2, 2); reshape it to (N, D)");
  CHECK(table_error(several, {.columns = {"c9"}, .array = "x"}) ==
        "several.npz: no column \"c9\" (did you mean \"c0\"?); the columns are \"c0\", \"c1\"");
  CHECK(table_error(kTables / "none.npz", {.allow_empty = true}) == "none.npz: the archive holds no array");
  try {
    read_table(several);
    FAIL("no error");
  } catch (const IoError& error) {
    CHECK(error.notice().option == "array");
  }
}

TEST_CASE("table: in chunks, the same rows") {
  const Folder folder;
  for (const fs::path& path : {folder.put("t.csv", "a,b\n1,2\n3,4\n5,6\n"), folder.put("t.npy", six())}) {
    TableReader reader(path);
    Table chunk;
    REQUIRE(reader.next(chunk, 2));
    CHECK(chunk.values == matrix({{1, 2}, {3, 4}}));
    CHECK(chunk.names == reader.names());
    const bool text = path.extension() == ".csv";
    CHECK(reader.where(chunk, 1) == path.string() + (text ? ":3" : ": row 1 (from 0)"));
    REQUIRE(reader.next(chunk, 2));
    CHECK(chunk.values == matrix({{5, 6}}));
    CHECK(reader.where(chunk, 0) == path.string() + (text ? ":4" : ": row 2 (from 0)"));
    CHECK_FALSE(reader.next(chunk, 2));
    CHECK(reader.rest().values.rows() == 0);
    CHECK_THROWS_AS(reader.next(chunk, 0), ShapeError);

    TableReader moved = TableReader(path, {.columns = {text ? "b" : "c1"}});
    TableReader other(path);
    REQUIRE(other.next(chunk, 1));
    moved = std::move(other);
    CHECK(moved.rest().values == matrix({{3, 4}, {5, 6}}));
  }
}
