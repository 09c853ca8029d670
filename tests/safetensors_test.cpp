// Safetensors files: the official package's, what is written, what is refused and how.

#include <cstring>
#include <filesystem>
#include <map>
#include <pushforward/error.hpp>
#include <pushforward/io/safetensors.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/files.hpp"

using namespace pushforward;
using namespace file_tests;

namespace {

std::string safetensors(const std::string& header, const std::string& data = "") {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> (8 * i) & 0xff);
  return out + header + data;
}

std::string safetensors_error(const std::string& header, const std::string& data = "") {
  const auto bytes = bytes_of(safetensors(header, data));
  return io_error([&] { SafetensorsFile::read(bytes, "m.st"); });
}

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
