// Model files that are damaged or hostile are refused with IoError and nothing else.

#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <pushforward/io/model.hpp>
#include <pushforward/io/safetensors.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/allocations.hpp"
#include "tests/model_files.hpp"
#include "tests/models.hpp"

using namespace pushforward;
using namespace model_file_tests;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("values that are not finite are refused, saving and loading") {
  TransformedDistribution<double> flow = small_flow();
  const Bytes bytes = serialize(flow);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    TransformedDistribution<double> broken = flow;
    for (const Slot<double>& slot : list_state<double>(broken))
      if (slot.path == "bijector.0.net.initial.weight") (*slot.tensor)[1] = bad;
    CHECK_THROWS_AS(serialize(broken), DomainError);
    CHECK_THROWS_WITH(serialize(broken),
                      ContainsSubstring("'bijector.0.net.initial.weight' holds a value that is not finite"));

    Parts parts(bytes);
    parts.value<double>("base.loc", 1) = bad;
    CHECK_THAT(why(parts.bytes()), ContainsSubstring("model: tensor 'base.loc' holds a value that is not finite"));
  }
  // Finite, but not as float.
  MultivariateNormalDiag<double> wide(1);
  for (const Slot<double>& slot : list_state<double>(wide))
    if (slot.path == "loc") (*slot.tensor)[0] = 1e200;
  const Bytes far = serialize(wide);
  CHECK(why<double>(far) == "loaded");
  CHECK_THAT(why<float>(far), ContainsSubstring("tensor 'loc' holds a value that does not fit into float32"));
}

TEST_CASE("a scale that is not above 0 is refused") {
  const auto without_reference = [](Parts& parts) {
    for (auto& [name, rows] : parts.json["reference"].items()) rows = Json::array();
  };
  const auto refused = [&](const auto& model, const std::string& path) {
    const Bytes bytes = serialize<double>(model);
    for (const double bad : {0.0, -0.5}) {
      Parts parts(bytes);
      without_reference(parts);
      parts.value<double>(path, 1) = bad;
      CHECK_THAT(why(parts.bytes()), ContainsSubstring("tensor '" + path + "' holds a value that is not above 0"));
    }
    Parts parts(bytes);
    without_reference(parts);
    parts.value<double>(path, 1) = 1e-60;
    CHECK(why<double>(parts.bytes()) == "loaded");
    CHECK_THAT(why<float>(parts.bytes()),
               ContainsSubstring("tensor '" + path + "' holds a value that does not fit into float32"));
  };
  const std::vector<double> shift{0.5, -1}, scale{2, 3};
  const VectorView<const double> a(shift), b(scale);
  refused(TransformedDistribution<double>(Normal<double>(2), Standardize<double>(a, b)), "bijector.scale");
  refused(TransformedDistribution<double>(Normal<double>(2),
                                          Whiten<double>(Eigen::Matrix2d{{2.0, 0.0}, {0.5, 1.5}})),
          "bijector.diagonal");
  refused(StandardizedContext<double>(
              TransformedDistribution<double>(
                  Normal<double>(1), MaskedAutoregressive<double>(Made<double>(1, 2, {.hidden = 3, .context_dim = 2}))),
              a, b),
          "scale");
}

TEST_CASE("a small change of a weight is refused") {
  for (const models::Named<double>& m : models::all<double>())
    DYNAMIC_SECTION(m.name) {
      const Bytes bytes = serialize(*m.distribution);
      CHECK(Parts(bytes).json.at("reference").at("rows").size() == 8);
      std::size_t tried = 0, missed = 0;
      for (const NamedTensor& tensor : Parts(bytes).tensors) {
        if (tensor.dtype != "F64" || tensor.name.ends_with("initialized")) continue;
        for (std::size_t i = 0; i < tensor.bytes.size() / 8; ++i) {
          Parts parts(bytes);
          double& value = parts.value<double>(tensor.name, i);
          if (value == 0) continue;  // behind a mask
          value += 1e-3;
          const std::string text = why(parts.bytes());
          ++tried;
          if (text == "loaded") ++missed;  // a unit that relu puts to sleep, the unused half of a triangular matrix
          else CHECK_THAT(text, ContainsSubstring("; the model is damaged"));
          // With the checksum in place nothing goes through.
          Parts summed(bytes);
          summed.metadata["pushforward.crc32"] = SafetensorsFile::read(bytes).metadata().at("pushforward.crc32");
          summed.value<double>(tensor.name, i) += 1e-3;
          CHECK_THAT(why(summed.bytes()), ContainsSubstring("checksum"));
          if (tensor.bytes.size() > 100) i += 6;
        }
      }
      INFO(missed << " of " << tried << " changes leave the reference rows alone");
      CHECK(2 * missed <= tried);
    }
}

TEST_CASE("descriptions that do not fit are refused, naming the field") {
  const Bytes bytes = serialize(small_flow(), full_info);
  const auto refused = [&](const std::string& text, auto change) {
    Parts parts(bytes);
    change(parts);
    CHECK_THAT(why(parts.bytes()), ContainsSubstring(text));
  };
  CHECK(why(Parts(bytes).bytes()) == "loaded");
  refused("has schema version 2, this library reads version 1", [](Parts& p) { p.json["schema"] = 2; });
  refused("has schema version 18446744073709551615", [](Parts& p) { p.json["schema"] = ~std::uint64_t{0}; });
  refused("schema: expected an integer", [](Parts& p) { p.json["schema"] = "1"; });
  refused("field 'schema' is missing", [](Parts& p) { p.json.erase("schema"); });
  refused("scalar: expected float32 or float64, got 'float16'", [](Parts& p) { p.json["scalar"] = "float16"; });
  refused("expected dtype F32, got F64", [](Parts& p) { p.json["scalar"] = "float32"; });
  refused("expected an object", [](Parts& p) { p.json = Json::array(); });
  refused("columns: expected none or 2 entries, got 3", [](Parts& p) { p.json["columns"].push_back("c"); });
  refused("data_range: expected pairs", [](Parts& p) { p.json["data_range"][0] = 1; });
  refused("data_range: expected finite low <= high in column 1",
          [](Parts& p) { std::swap(p.json["data_range"][1][0], p.json["data_range"][1][1]); });
  refused("entry 'pushforward.more' is unknown", [](Parts& p) { p.metadata["pushforward.more"] = ""; });
  refused("the checksum is", [](Parts& p) { p.metadata["pushforward.crc32"] = "00000000"; });
  // Whichever of its letters is damaged.
  const std::string name = "pushforward.crc32";
  for (std::size_t i = 0; i < name.size(); ++i) {
    std::string other = name;
    other[i] = static_cast<char>(other[i] ^ 1);
    refused("entry '" + other + "' is unknown", [&](Parts& p) { p.metadata[other] = "00000000"; });
  }
  refused("expected an object", [](Parts& p) { p.json = Json("text"); });
}

TEST_CASE("tensors that are missing, or that nobody uses, are named") {
  const Bytes bytes = serialize(small_flow());
  Parts missing(bytes);
  missing.remove("base.loc");
  missing.remove("bijector.0.net.final.bias");
  CHECK_THAT(why(missing.bytes()), ContainsSubstring("model: description: tensors are missing: base.loc"));
  Parts renamed(bytes);
  renamed.tensor("base.loc").name = "base.log";
  renamed.data["base.log"] = renamed.data["base.loc"];
  CHECK_THAT(why(renamed.bytes()), ContainsSubstring("model: description: tensors are missing: base.loc"));
  Parts unused(bytes);
  unused.add("extra", "F64", {2}, 16);
  unused.add("more", "I64", {1}, 8);
  CHECK_THAT(why(unused.bytes()), ContainsSubstring("model: tensors that the model does not use: extra, more"));
  Parts shape(bytes);
  shape.tensor("base.loc").shape = {2, 1};
  CHECK_THAT(why(shape.bytes()), ContainsSubstring("tensor \"base.loc\": expected shape (2,), got (2, 1)"));

  const std::map<std::string, std::string> foreign{{"format", "pt"}};
  CHECK_THAT(why(serialize_safetensors({}, foreign)), ContainsSubstring("no 'pushforward' entry in the metadata"));
  const Folder folder;
  CHECK_THROWS_AS(load<double>(folder / "none.safetensors"), IoError);
  CHECK_THROWS_WITH(load<double>(folder / "none.safetensors"), ContainsSubstring("none.safetensors"));
}

TEST_CASE("constants and parts that the class does not know are refused") {
  const Bytes bytes = serialize(small_flow());
  Parts constant(bytes);
  constant.json["description"]["children"][0]["description"]["constants"]["tilt"] = true;
  CHECK_THAT(why(constant.bytes()), ContainsSubstring("description.base.constants.tilt: unknown"));
  Parts twice(bytes);
  twice.json["description"]["children"].push_back(twice.json["description"]["children"][0]);
  CHECK_THAT(why(twice.bytes()), ContainsSubstring("the name 'base' is empty, contains a dot, or occurs twice"));
  twice.json["description"]["children"][2]["name"] = "basis";
  CHECK_THAT(why(twice.bytes()), ContainsSubstring("description.basis: unknown"));
  // A tensor that two constants use, and one under another name.
  Parts shared(bytes);
  const auto part = [](Json& node, std::size_t i) -> Json& { return node["children"][i]["description"]; };
  Json& net = part(part(part(shared.json["description"], 1), 0), 0);
  CHECK(net["constants"].contains("hidden_degrees"));
  net["constants"]["hidden_degrees"]["tensor"] = "constants.bijector.1.permutation";
  CHECK_THAT(why(shared.bytes()), ContainsSubstring("expected the tensor 'constants.bijector.0.net.hidden_degrees', "
                                                    "got 'constants.bijector.1.permutation'"));
}

namespace {

/// Calls f with the place of each integer and each list of integers of each node.
void each_size(const Json& node, const Json::json_pointer& at,
               const std::function<void(const Json::json_pointer&)>& f) {
  for (const auto& [name, value] : node.at("constants").items())
    if (value.is_number_integer() || (value.is_object() && value.contains("tensor"))) f(at / "constants" / name);
  for (std::size_t i = 0; i < node.at("children").size(); ++i)
    each_size(node["children"][i]["description"], at / "children" / i / "description", f);
}

}  // namespace

TEST_CASE("no description makes load allocate more than the file justifies") {
  constexpr std::size_t arena_block = 2000000;  // what a pass of the largest of these models takes at once
  std::size_t refused = 0;
  for (const models::Named<double>& m : models::all<double>()) {
    const Bytes bytes = serialize(*m.distribution);
    const Parts original(bytes);
    std::vector<Json::json_pointer> places;
    each_size(original.json.at("description"), Json::json_pointer("/description"),
              [&](const Json::json_pointer& p) { places.push_back(p); });
    const auto attack = [&](std::span<const Json::json_pointer> where, std::int64_t size) {
      Parts parts(bytes);
      for (const Json::json_pointer& place : where) {
        Json& value = parts.json[place];
        if (value.is_number_integer()) {
          value = size;
        } else {
          const std::string name = value.at("tensor");
          for (std::size_t i = 0; i < parts.data.at(name).size() / 8; ++i) parts.value<std::int64_t>(name, i) = size;
        }
      }
      const Bytes hostile = parts.bytes();
      largest_allocation = 0;
      const std::string text = why(hostile);
      INFO(m.name << ", " << size << ", first " << where.front().to_string() << ": " << text);
      CHECK(largest_allocation < 4 * hostile.size() + arena_block);
      refused += text != "loaded";
    };
    for (const std::int64_t size : {std::int64_t{2000}, std::int64_t{8192}, std::int64_t{1} << 20,
                                    std::int64_t{1} << 24, std::int64_t{1} << 40,
                                    std::numeric_limits<std::int64_t>::max(), std::int64_t{-1}, std::int64_t{0}}) {
      for (const Json::json_pointer& place : places) attack(std::span(&place, 1), size);
      if (!places.empty()) attack(places, size);
    }
  }
  CHECK(refused > 1000);

  // Rows of the reference that claim to be many.
  Parts parts(serialize(small_flow()));
  parts.json["reference"]["rows"] = std::vector<Json>(1001, Json::array());
  CHECK_THAT(why(parts.bytes()), ContainsSubstring("reference.rows: expected at most 1000 rows, got 1001"));
  parts.json["reference"]["rows"] = std::vector<Json>(1000, Json::array());
  CHECK_THAT(why(parts.bytes()), ContainsSubstring("reference.rows: expected rows of 2 numbers"));
  // Nesting without end.
  Parts deep(serialize(small_flow()));
  Json node = deep.json["description"];
  for (int i = 0; i < 100; ++i)
    node = Json{{"type", "invert"},
                {"constants", Json::object()},
                {"children", Json::array({Json{{"name", "bijector"}, {"description", node}}})}};
  deep.json["description"] = node;
  CHECK_THAT(why(deep.bytes()), ContainsSubstring("nested too deeply"));
  std::string brackets(1000000, '[');
  deep.metadata["pushforward"] = brackets;
  for (NamedTensor& t : deep.tensors) t.bytes = deep.data.at(t.name);
  CHECK_THAT(why(serialize_safetensors(deep.tensors, deep.metadata)), ContainsSubstring("is not JSON"));
  Poly<Bijector<double>> nested = Identity<double>(1);
  for (int i = 0; i < 70; ++i) nested = Invert<double>(std::move(nested));
  const TransformedDistribution<double> too_deep(Normal<double>(1), std::move(nested));
  CHECK_THROWS_AS(serialize(too_deep), DomainError);
}

TEST_CASE("every truncation and every flipped byte gives IoError or the same model") {
  const TransformedDistribution<double> flow = small_flow();
  const ModelInfo info{.columns = {"x", "y"}, .data_range = {{0, 1}, {0, 1}}, .notes = {{"note", "some words"}}};
  const Bytes bytes = serialize(flow, info);
  CHECK(bytes.size() < 20000);
  largest_allocation = 0;
  std::size_t loaded = 0;
  const auto check = [&](std::span<const std::byte> damaged) {
    // Anything but IoError ends the test.
    std::optional<Model<double>> model;
    try {
      model = load<double>(damaged);
    } catch (const IoError&) {
      return true;
    }
    ++loaded;
    ModelInfo there = model->info;
    there.notes = info.notes;  // notes are not protected
    return same_state<double>(*model->distribution, flow) && same_info(there, info);
  };
  std::size_t wrong = 0;
  for (std::size_t length = 0; length < bytes.size(); ++length)
    wrong += !check(std::span(bytes).first(length)) || loaded > 0;
  CHECK(wrong == 0);
  CHECK(loaded == 0);

  std::uint32_t random = 12345;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes damaged = bytes;
    random = random * 1664525u + 1013904223u;
    damaged[i] ^= static_cast<std::byte>(random % 3 == 0 ? 1u << (random >> 16) % 8 : 1 + (random >> 16) % 255);
    wrong += !check(damaged);
  }
  CHECK(wrong == 0);
  INFO(loaded << " of " << bytes.size() << " files with a flipped byte load");
  CHECK(loaded < 100);
  CHECK(largest_allocation < 1000000);
}
