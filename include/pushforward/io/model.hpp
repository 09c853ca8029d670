#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <pushforward/distribution.hpp>
#include <pushforward/registry.hpp>

namespace pushforward {

/// What a model file says besides the model.
struct ModelInfo {
  std::vector<std::string> columns = {};          ///< names of the data columns, empty if unknown
  std::vector<std::string> context_columns = {};  ///< names of the context columns
  struct Range {
    double low = 0;
    double high = 0;
    friend bool operator==(const Range&, const Range&) = default;
  };
  std::vector<Range> data_range = {};     ///< smallest and largest training value per column, empty if unknown
  std::vector<Range> context_range = {};
  /// Free text by name (producer, date, training settings); kept when a model is saved again.
  std::map<std::string, std::string> notes = {};
};

/// A model as it lies in a file.
template <Scalar T>
struct Model {
  Poly<Distribution<T>> distribution;
  ModelInfo info;
};

/// Numbers of rows of `data` that have a value outside the training range, by the info of the model.
/// @throws ShapeError  if the number of columns differs.
std::vector<Index> rows_outside_training_range(const ModelInfo& info, MatrixView<const double> data,
                                               MatrixView<const double> context = {});

/// Writes the model as one safetensors file: every tensor by its path name, and in the metadata entry "pushforward" a
/// JSON text with schema version, scalar type, the description with every constant, the info, and up to eight reference
/// rows with their log_prob, which are checked on loading. Lists of integers of the description are int64 tensors named
/// "constants.<path>.<name>". The entry "pushforward.crc32" is a checksum of that text and of all tensors; whoever
/// changes a file by other means removes it. Takes the place of an older file when it is complete: all or nothing.
/// docs/model_file.md has the whole format, with a reader and a writer in Python.
/// @throws IoError      if the file cannot be written.
/// @throws DomainError  if a tensor holds a value that is not finite, naming it, or the info does not fit the model.
template <Scalar T>
void save(const std::filesystem::path& path, const Distribution<T>& distribution, const ModelInfo& info = {});
template <Scalar T>
std::vector<std::byte> serialize(const Distribution<T>& distribution, const ModelInfo& info = {});

/// Reads a model; a file of the other scalar type is checked as it is, then converted.
///
/// Files are untrusted input: no description makes `load` allocate more than a small multiple of the file's size. A
/// user's class answers for its own constants: `d.integer("dim", 1, 1 << 20)`.
/// @throws IoError  naming the field, if the file cannot be read, is damaged, has another schema version, has missing
///                  or unused tensors, names a type that the registry does not know, or fails its reference rows.
template <Scalar T>
Model<T> load(const std::filesystem::path& path, const Registry& registry = Registry::standard());
template <Scalar T>
Model<T> load(std::span<const std::byte> bytes, std::string_view source_name = "model",
              const Registry& registry = Registry::standard());

/// The same in the scalar type that the file has.
using StoredModel = std::variant<Model<float>, Model<double>>;
StoredModel load_stored(const std::filesystem::path& path, const Registry& registry = Registry::standard());
StoredModel load_stored(std::span<const std::byte> bytes, std::string_view source_name = "model",
                        const Registry& registry = Registry::standard());

}  // namespace pushforward
