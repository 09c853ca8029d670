// Files that version 0.1.0 wrote, one of each class and builder: they load for ever, and say the same when they are written
// again. Made by write_models of that version.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <pushforward/fields.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/io/safetensors.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {

std::vector<std::filesystem::path> golden_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(PUSHFORWARD_TEST_DATA "/models_0_1"))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// Names in files of the classes that classes.txt has in that folder, sorted.
std::vector<std::string> listed(const std::string& folder) {
  std::ifstream lines(PUSHFORWARD_CLASSES);
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(folder)) names.push_back(line.substr(line.rfind(' ') + 1));
  std::sort(names.begin(), names.end());
  REQUIRE_FALSE(names.empty());
  return names;
}

nlohmann::json metadata(const SafetensorsFile& file) {
  return nlohmann::json::parse(file.metadata().at("pushforward"));
}

}  // namespace

TEST_CASE("Every model of version 0.1.0 loads, with the same bits and the same description", "[golden]") {
  const std::vector<std::filesystem::path> files = golden_files();
  REQUIRE(files.size() == 71);
  for (const std::filesystem::path& path : files) {
    INFO(path.filename().string());
    // Loading compares log_prob of the reference rows in the file.
    const Model<double> model = load<double>(path);
    const std::vector<std::byte> bytes = serialize(*model.distribution, model.info);
    const SafetensorsFile before = SafetensorsFile::read(path), after = SafetensorsFile::read(bytes);
    REQUIRE(before.tensors().size() == after.tensors().size());
    for (std::size_t i = 0; i < before.tensors().size(); ++i) {
      const NamedTensor &a = before.tensors()[i], &b = after.tensors()[i];
      CHECK(a.name == b.name);
      CHECK(a.dtype == b.dtype);
      CHECK(a.shape == b.shape);
      CHECK(std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end()));
    }
    nlohmann::json old = metadata(before), again = metadata(after);
    CHECK(again["description"] == old["description"]);
    old.erase("reference");  // another processor may round otherwise
    again.erase("reference");
    CHECK(again == old);
  }
}

TEST_CASE("Models of version 0.1.0 load as float too", "[golden]") {
  for (const std::filesystem::path& path : golden_files()) {
    INFO(path.filename().string());
    const Model<float> model = load<float>(path);
    CHECK(model.distribution->describe() == load<double>(path).distribution->describe());
  }
}

TEST_CASE("A model prints as a tree", "[golden]") {
  const Model<double> model = load<double>(PUSHFORWARD_TEST_DATA "/models_0_1/nsf.safetensors");
  const std::string text = to_text(*model.distribution);
  INFO(text);
  CHECK_THAT(text, Catch::Matchers::StartsWith("layers (base side first)"));
  for (const char* part : {"transformed_distribution", "├─ base: ", "└─ bijector: chain", "coupling", "transformer: "})
    CHECK_THAT(text, Catch::Matchers::ContainsSubstring(part));
  // Every line has the number of parameters at the same place, and the whole tree's stands in the first.
  const std::string whole = std::to_string(count_parameters(*model.distribution));
  std::string digits;
  for (const char c : text.substr(0, text.find('\n', text.find('\n') + 1)))
    if (c >= '0' && c <= '9') digits += c;
  CHECK(digits == whole);
}

TEST_CASE("A registry lists what it knows", "[golden]") {
  const Registry registry = Registry::standard();
  const std::vector<std::string> bijectors = registry.types<Bijector<double>>();
  CHECK(std::find(bijectors.begin(), bijectors.end(), "lu_linear") != bijectors.end());
  CHECK(std::find(bijectors.begin(), bijectors.end(), "normal") == bijectors.end());
  CHECK(registry.types<Network<float>>() == listed("nn/"));
  CHECK(registry.types<Network<double>>() == listed("nn/"));
  CHECK(registry.types<Distribution<double>>() == listed("distributions/"));
  std::vector<std::string> maps = bijectors;
  for (const std::string& type : registry.types<Transformer<double>>()) maps.push_back(type);
  std::sort(maps.begin(), maps.end());
  CHECK(maps == listed("bijectors/"));
  CHECK(Registry().types<Distribution<double>>().empty());
}
