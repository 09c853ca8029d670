// NPY and NPZ files: types, orders, versions, errors, NumPy's own archives.

#include <cmath>
#include <filesystem>
#include <pushforward/error.hpp>
#include <pushforward/io/npy.hpp>
#include <pushforward/io/safetensors.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/files.hpp"

using namespace pushforward;
using namespace file_tests;

namespace {

std::string npy_error(const std::string& text, const NpyOptions& options = {}) {
  return io_error([&] { read_npy(bytes_of(text), "x.npy", options); });
}

std::vector<double> values_of(const std::string& text) {
  const NpyArray array = read_npy(bytes_of(text));
  return {array.values.data(), array.values.data() + array.values.size()};
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

}  // namespace

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
  for (const char* descr : {"<f3", "f8", "|f8", "|f2", "", "<"}) {
    CHECK(npy_error(npy_of(descr, "(1,)", "")) ==
          "x.npy: type \"" + std::string(descr) +
              "\" is not supported; expected float16, float32, float64, an integer type or bool");
  }
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
  CHECK(NpzFile(compressed, "z.npz").get("x").matrix() == expected);

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
