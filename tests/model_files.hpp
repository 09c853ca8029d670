#pragma once

// What tests of model files share: bits compared, a file taken apart and changed, and a small flow to put into one.

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/io/safetensors.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/models.hpp"
#include "tests/temporary_folder.hpp"

namespace model_file_tests {

using namespace pushforward;
using Json = nlohmann::json;
namespace fs = std::filesystem;

using Bytes = std::vector<std::byte>;

class Folder : public TemporaryFolder {
 public:
  std::size_t count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator()));
  }
};

inline Bytes read_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

template <Scalar T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0);
}

template <Scalar T>
bool same_state(const Component<T>& a, const Component<T>& b) {
  const auto x = list_state(a), y = list_state(b);
  if (x.size() != y.size()) return false;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i].path != y[i].path || !same_bits(*x[i].tensor, *y[i].tensor)) return false;
  return true;
}

/// A file taken apart: changed, and put together again, without the checksum unless asked for.
struct Parts {
  std::map<std::string, Bytes> data;
  std::vector<NamedTensor> tensors;
  std::map<std::string, std::string> metadata;
  Json json;

  explicit Parts(std::span<const std::byte> bytes) {
    const SafetensorsFile file = SafetensorsFile::read(bytes);
    tensors = file.tensors();
    metadata = file.metadata();
    for (NamedTensor& t : tensors) data[t.name] = Bytes(t.bytes.begin(), t.bytes.end());
    json = Json::parse(metadata.at("pushforward"));
    metadata.erase("pushforward.crc32");
  }
  template <class T>
  T& value(const std::string& name, std::size_t i) {
    return reinterpret_cast<T*>(data.at(name).data())[i];
  }
  void add(const std::string& name, const std::string& dtype, std::vector<Index> shape, std::size_t size) {
    data[name] = Bytes(size);
    tensors.push_back({name, dtype, std::move(shape), {}});
  }
  void remove(const std::string& name) {
    std::erase_if(tensors, [&](const NamedTensor& t) { return t.name == name; });
  }
  NamedTensor& tensor(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const NamedTensor& t) { return t.name == name; });
  }
  Bytes bytes() {
    metadata["pushforward"] = json.dump();
    for (NamedTensor& t : tensors) t.bytes = data.at(t.name);
    return serialize_safetensors(tensors, metadata);
  }
};

template <Scalar T = double>
std::string why(std::span<const std::byte> bytes, const Registry& registry = Registry::standard()) {
  try {
    load<T>(bytes, "model", registry);
  } catch (const IoError& error) {
    return error.what();
  }
  return "loaded";
}

inline TransformedDistribution<double> small_flow() {
  TransformedDistribution<double> flow =
      maf<double>(2, {.layers = 2, .hidden = 4, .blocks = 1, .batch_norm = true, .seed = 3});
  models::shake(flow);
  return flow;
}

inline const ModelInfo full_info{.columns = {"a", "b, with \"marks\" and \xc3\xa4"},
                          .context_columns = {},
                          .data_range = {{-1.5, 0.1}, {1e-300, 1e300}},
                          .context_range = {},
                          .notes = {{"date", "today"}, {"empty", ""}, {"text", "two\nlines\tand \xe2\x82\xac"}}};

inline bool same_info(const ModelInfo& a, const ModelInfo& b) {
  return a.columns == b.columns && a.context_columns == b.context_columns && a.data_range == b.data_range &&
         a.context_range == b.context_range && a.notes == b.notes;
}

}  // namespace model_file_tests
