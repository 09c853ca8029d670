#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <pushforward/tensor.hpp>
#include <pushforward/views.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace pushforward {

/// One tensor of a safetensors file. It views its bytes: somebody else owns them.
struct NamedTensor {
  std::string name;
  /// "F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL", "F8_E4M3", "F8_E5M2".
  std::string dtype;
  std::vector<Index> shape;
  /// The values, last axis fastest, little-endian, of any alignment.
  std::span<const std::byte> bytes;
};

/// The name that safetensors gives to the scalar type T.
template <class T>
constexpr std::string_view safetensors_dtype() {
  static_assert(std::is_same_v<T, double> || std::is_same_v<T, float> || std::is_same_v<T, std::int64_t> ||
                std::is_same_v<T, std::int32_t> || std::is_same_v<T, std::uint8_t>);
  if constexpr (std::is_same_v<T, double>) return "F64";
  if constexpr (std::is_same_v<T, float>) return "F32";
  if constexpr (std::is_same_v<T, std::int64_t>) return "I64";
  if constexpr (std::is_same_v<T, std::int32_t>) return "I32";
  return "U8";
}

/// A view of `tensor` for writing; the tensor must live as long as the view.
template <class T>
NamedTensor named_tensor(std::string name, const Tensor<T>& tensor) {
  return {std::move(name), std::string(safetensors_dtype<T>()), tensor.shape(), std::as_bytes(tensor.values())};
}

/// Contents of a safetensors file: tensors by name, and text by name.
///
/// The format is that of Hugging Face's safetensors: eight bytes with the length of a JSON header, the header, the
/// bytes of the tensors. Files are untrusted input. Checked before anything is taken for granted: the length of the
/// header (at most 100 MB), its structure (names occur once, nothing is nested deeper than it should be), types, shapes
/// against sizes, and that the tensors fill the data exactly, without overlap or hole. Every failure is an IoError that
/// names the file and the field: `m.safetensors: tensor "a.weight": shape (2, 3) and dtype "F32" need 24 bytes, got
/// 20`.
class SafetensorsFile {
 public:
  /// Reads a file into memory of its own.
  static SafetensorsFile read(const std::filesystem::path& path);
  /// Reads from memory without a copy: `bytes` must live as long as the object and all views of it. `source_name`
  /// stands for the file in errors.
  static SafetensorsFile read(std::span<const std::byte> bytes, std::string_view source_name = "safetensors");
  SafetensorsFile(SafetensorsFile&&) noexcept = default;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept = default;

  /// All tensors, sorted by name.
  const std::vector<NamedTensor>& tensors() const { return tensors_; }
  /// The entries of "__metadata__"; the format lets them be strings only.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// The tensor of that name, or null.
  const NamedTensor* find(std::string_view name) const;
  /// A copy of a tensor; T is double, float, int64_t, int32_t or uint8_t.
  /// IoError when the name is missing or the type is another one: nothing is converted.
  template <class T>
  Tensor<T> get(std::string_view name) const;
  /// The same, and the shape must be `shape`.
  template <class T>
  Tensor<T> get(std::string_view name, const std::vector<Index>& shape) const;

 private:
  SafetensorsFile() = default;

  std::string source_;
  std::vector<std::byte> own_;
  std::vector<NamedTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// The bytes of a safetensors file. The same tensors and metadata give the same bytes in whatever order they come:
/// larger types first, then by name, data aligned to 8 bytes. Text must be UTF-8.
/// IoError for a name that occurs twice, an unknown dtype, or a shape that does not fit its bytes.
std::vector<std::byte> serialize_safetensors(std::span<const NamedTensor> tensors,
                                             const std::map<std::string, std::string>& metadata = {});

/// Writes `serialize_safetensors` to a file that appears whole or not at all: it takes the place of an older one when it
/// is complete and synchronised with the disk. After a failure (IoError), or if the process is killed, that one is as it
/// was, and (on file systems with files that have no name) nothing else is left.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace pushforward
