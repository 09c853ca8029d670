// A folder of files as one table.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <pushforward/error.hpp>
#include <pushforward/io/npy.hpp>
#include <pushforward/io/table.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/files.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Equals;

namespace {

void put(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }

std::string why(const std::filesystem::path& path, const TableOptions& options = {}) {
  try {
    static_cast<void>(read_table(path, options));
  } catch (const IoError& error) {
    return error.what();
  }
  return "read";
}

}  // namespace

TEST_CASE("A folder is the table of its files in the order of their names") {
  const TemporaryFolder folder;
  put(folder.path / "part-10.csv", "a,b\n7,8\n");
  put(folder.path / "part-2.csv", "b,a\n4,3\n\n6,5\n");
  put(folder.path / "part-1.csv", "a,b\n1,2\n");
  put(folder.path / "part-3.csv", "a,b\n");  // no rows
  put(folder.path / "_SUCCESS", "");
  put(folder.path / ".hidden", "x");
  std::filesystem::create_directory(folder.path / "old.csv");
  Matrix<double> all(4, 2);
  all << 1, 2, 3, 4, 5, 6, 7, 8;

  const Table table = read_table(folder.path);
  CHECK(table.names == std::vector<std::string>{"a", "b"});
  CHECK(table.values == all);

  for (const Index most : {1, 2, 100}) {
    TableReader reader(folder.path);
    CHECK(reader.names() == std::vector<std::string>{"a", "b"});
    std::vector<std::string> places;
    Index rows = 0;
    for (Table chunk; reader.next(chunk, most); rows += chunk.values.rows())
      for (Index i = 0; i < chunk.values.rows(); ++i) {
        CHECK(chunk.values.row(i) == all.row(rows + i));
        places.push_back(std::filesystem::path(reader.where(chunk, i)).filename().string());
      }
    CHECK(rows == 4);
    CHECK(places == std::vector<std::string>{"part-1.csv:2", "part-2.csv:2", "part-2.csv:4", "part-10.csv:2"});
  }
  // Of a whole table too, and with a choice of columns.
  TableReader whole(folder.path, {.columns = {"b"}});
  const Table b = whole.rest();
  CHECK(b.values == all.col(1));
  CHECK_THAT(whole.where(b, 2), ContainsSubstring("part-2.csv:4"));
  CHECK_THAT(whole.where(b, 3), ContainsSubstring("part-10.csv:2"));
  CHECK(TableReader(folder.path, {.drop = {"a"}}).rest().values == all.col(1));
}

TEST_CASE("Numbers in the names of files count as numbers") {
  const std::vector<std::string> order{"a.csv", "a1.csv", "a1b2.csv", "a1b10.csv", "a2.csv", "a03.csv", "a10.csv", "b.csv"};
  const TemporaryFolder folder;
  for (std::size_t i = 0; i < order.size(); ++i) put(folder.path / order[i], "x\n" + std::to_string(i) + "\n");
  const Table table = read_table(folder.path);
  for (Index i = 0; i < table.values.rows(); ++i) CHECK(table.values(i, 0) == static_cast<double>(i));
  CHECK(table.values.rows() == 8);
}

TEST_CASE("Arrays in a folder") {
  const TemporaryFolder folder;
  Matrix<double> rows = Matrix<double>::Random(9, 3);
  write_npy(folder.path / "r0.npy", MatrixView<const double>(Matrix<double>(rows.topRows(4))));
  write_npy(folder.path / "r1.npy", MatrixView<const double>(Matrix<double>(rows.topRows(0))));
  write_npy(folder.path / "r2.npy", MatrixView<const double>(Matrix<double>(rows.bottomRows(5))));
  TableReader reader(folder.path);
  const Table table = reader.rest();
  CHECK(table.values == rows);
  CHECK_THAT(reader.where(table, 5), ContainsSubstring("r2.npy: row 1 (from 0)"));
  // What is missing is left out and counted in all of them.
  rows(2, 1) = rows(7, 0) = std::numeric_limits<double>::quiet_NaN();
  write_npy(folder.path / "r0.npy", MatrixView<const double>(Matrix<double>(rows.topRows(4))));
  write_npy(folder.path / "r2.npy", MatrixView<const double>(Matrix<double>(rows.bottomRows(5))));
  TableReader dropping(folder.path, {.missing = CsvOptions::Missing::drop});
  const Table kept = dropping.rest();
  CHECK(kept.values.rows() == 7);
  CHECK(dropping.dropped_rows() == 2);
  CHECK_THAT(dropping.where(kept, 6), ContainsSubstring("r2.npy: row 4 (from 0)"));
}

TEST_CASE("What a folder of tables refuses names the file") {
  const TemporaryFolder folder;
  const std::string name = folder.path.string();
  CHECK_THAT(why(folder.path), Equals(name + ": the folder holds no tables (.csv, .tsv, .txt, .dat, .npy, .npz)"));
  put(folder.path / "a.csv", "x,y\n");
  CHECK_THAT(why(folder.path), Equals(name + ": the tables of the folder have no rows"));
  CHECK(read_table(folder.path, {.allow_empty = true}).values.rows() == 0);
  put(folder.path / "b.csv", "x,y\n1,\n");
  CHECK_THAT(why(folder.path, {.missing = CsvOptions::Missing::drop}), Equals(name + ": every row misses a value"));
  put(folder.path / "b.csv", "x,y\n1,2\n");
  CHECK(why(folder.path) == "read");
  CHECK_THAT(why(folder.path, {.format = TableFormat::text}), ContainsSubstring("told by their extensions"));
  put(folder.path / "c.csv", "x,z\n1,2\n");
  CHECK_THAT(why(folder.path), Equals(name + "/c.csv: expected the columns of " + name +
                                      "/a.csv, \"x\", \"y\", got \"x\", \"z\""));
  put(folder.path / "c.csv", "x,y,z\n1,2,3\n");
  CHECK_THAT(why(folder.path), ContainsSubstring("got \"x\", \"y\", \"z\""));
  CHECK(why(folder.path, {.columns = {"y", "x"}}) == "read");
  put(folder.path / "c.csv", "x,y\n1,two\n");
  CHECK_THAT(why(folder.path), ContainsSubstring("c.csv:2: column 2 (\"y\"): expected a number, got \"two\""));
  put(folder.path / "c.csv", "x,y\n3,4\n");
  put(folder.path / "notes.md", "");
  CHECK_THAT(why(folder.path), ContainsSubstring("the extension of \"notes.md\" says nothing of the format"));
}
