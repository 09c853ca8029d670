// Tables in memory that are files.

#include <cmath>
#include <pushforward/error.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/io/mapped_npy.hpp>
#include <pushforward/io/npy.hpp>
#include <pushforward/training/fit.hpp>
#include <string>

#include "tests/catch.hpp"
#include "tests/files.hpp"

using namespace pushforward;
using namespace file_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

template <class T>
Matrix<T> waves(Index rows) {
  Matrix<T> y(rows, 2);
  for (Index i = 0; i < rows; ++i) {
    const double t = static_cast<double>(i);
    y(i, 0) = static_cast<T>(std::sin(t) + 0.1 * std::cos(17 * t));
    y(i, 1) = static_cast<T>(std::cos(3 * t) + std::sin(t));
  }
  return y;
}

template <class T>
std::string file_of(const Matrix<T>& y, const char* descr, bool fortran) {
  std::string data;
  for (Index a = 0; a < (fortran ? y.cols() : y.rows()); ++a)
    for (Index b = 0; b < (fortran ? y.rows() : y.cols()); ++b) data += raw<T>({fortran ? y(b, a) : y(a, b)});
  std::string head = "{'descr': '" + std::string(descr) + "', 'fortran_order': " + (fortran ? "True" : "False") +
                     ", 'shape': (" + std::to_string(y.rows()) + ", " + std::to_string(y.cols()) + "), }";
  head.resize(117, ' ');  // with the ten bytes before it and the line's end 128, as NumPy has it
  return npy(head + "\n", data);
}

std::string refused(const fs::path& path) {
  const std::string text = io_error([&] { MappedNpy<double> table(path); });
  const std::string folder = path.parent_path().string() + "/";
  return text.starts_with(folder) ? text.substr(folder.size()) : text;
}

}  // namespace

TEMPLATE_TEST_CASE("mapped: a file is a table, and fits as one", "", float, double) {
  const Folder folder;
  const Matrix<TestType> y = waves<TestType>(600);
  const char* const descr = std::is_same_v<TestType, float> ? "<f4" : "<f8";
  const FitOptions<TestType> options{.epochs = 2, .batch_size = 100, .seed = 3};
  const auto scores = [&](MatrixView<const TestType> rows) -> Eigen::VectorXd {
    auto flow = maf<TestType>(2, {.layers = 1, .hidden = {8}});
    fit(flow, rows, options);
    return flow.log_prob(y);
  };
  const Eigen::VectorXd expected = scores(y);
  for (const bool fortran : {false, true}) {
    const MappedNpy<TestType> table(folder.put("y.npy", file_of(y, descr, fortran)));
    REQUIRE(table.view().rows() == 600);
    REQUIRE(table.view().cols() == 2);
    CHECK(table.view().row_stride() == (fortran ? 1 : 2));
    bool same = true;
    for (Index i = 0; i < 600; ++i)
      for (Index c = 0; c < 2; ++c) same = same && table.view()(i, c) == y(i, c);
    CHECK(same);
    CHECK(scores(table.view()) == expected);
  }
  // What replaces the file by another name leaves it as it was; a mapping may be handed on.
  MappedNpy<TestType> table(folder / "y.npy"), other(folder.put("z.npy", file_of<TestType>(y.topRows(1), descr, false)));
  write_npy(folder / "y.npy", waves<double>(3));
  CHECK(table.view()(599, 1) == y(599, 1));
  other = std::move(table);
  CHECK(other.view()(599, 1) == y(599, 1));
  CHECK(table.view().rows() == 0);  // NOLINT: moved from
}

TEST_CASE("mapped: what is no such file is refused with what reads it") {
  const Folder folder;
  const Matrix<double> y = waves<double>(3);
  CHECK(refused(folder.put("f.npy", file_of<float>(waves<float>(3), "<f4", false))) ==
        "f.npy: type \"<f4\" cannot be mapped as <f8; read_npy converts it");
  CHECK(refused(folder.put("b.npy", file_of(y, ">f8", false))) ==
        "b.npy: type \">f8\" cannot be mapped as <f8; read_npy converts it");
  CHECK(refused(folder.put("odd.npy", npy_of("<f8", "(1,)", raw<double>({1})))) ==
        "odd.npy: the numbers begin at byte 68, which is no multiple of 8; save it again, or read_npy");
  CHECK(refused(folder.put("cube.npy", npy_of("<f8", "(1, 1, 0)", ""))) ==
        "cube.npy: expected an array of rows and columns, got shape (1, 1, 0); reshape it to (N, D)");
  CHECK(refused(folder.put("cut.npy", file_of(y, "<f8", false).substr(0, 170))) ==
        "cut.npy: expected 48 bytes of data for shape (3, 2) and type \"<f8\", got 42");
  CHECK(refused(folder.put("empty.npy", "")) == "empty.npy: not a NumPy file: it does not begin with \"\\x93NUMPY\"");
  CHECK(refused(fs::path(PUSHFORWARD_TEST_DATA) / "tables" / "packed.npy.gz") ==
        "packed.npy.gz: packed by gzip, which cannot be mapped; unpack it, or read_npy");
  CHECK_THAT(refused(folder.path), ContainsSubstring("cannot open for reading: Is a directory"));
  CHECK(refused("/dev/null") == "null: cannot map into memory: no regular file");
  CHECK(MappedNpy<double>(folder.put("v.npy", file_of(Matrix<double>(0, 2), "<f8", false))).view().rows() == 0);
}
