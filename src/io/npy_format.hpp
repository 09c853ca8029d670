#pragma once

// What the readers of NumPy's arrays share: the head of a file, and its items as numbers.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <pushforward/io/npy.hpp>
#include <pushforward/views.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/file.hpp"
#include "src/io/inflate.hpp"

namespace pushforward::detail {

inline constexpr std::string_view kNpyMagic = "\x93NUMPY";
/// Of what is read at once.
inline constexpr std::size_t kPieceSize = std::size_t{1} << 20;

std::uint64_t little_endian(const unsigned char* p, std::size_t size);

/// Bytes at offsets: memory or a file.
class ByteSource {
 public:
  ByteSource(std::span<const std::byte> bytes, std::string name);
  /// A pipe is read whole.
  explicit ByteSource(const std::filesystem::path& path);
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }
  bool is_gzip() const;
  /// @throws IoError  where there are fewer bytes
  void read(std::uint64_t offset, void* data, std::size_t size) const;
  /// `size` bytes from `offset` on, one after another. It refers to this object.
  ReadBytes range(std::uint64_t offset, std::uint64_t size) const;

 private:
  std::string name_;
  std::optional<InputFile> file_;
  std::vector<std::byte> own_;
  std::span<const std::byte> memory_;
  std::uint64_t size_ = 0;
};

/// How the items of an array become numbers: an item is one number, or one of each field of a structured array.
struct NpyLayout {
  struct Part {
    std::size_t offset = 0;  // within the item
    bool swap = false;       // bytes
    void (*load)(const std::byte* from, std::size_t stride, bool swap, std::size_t count, double* to,
                 std::size_t to_stride) = nullptr;
  };
  std::string dtype;  // as the head has it
  bool fortran_order = false;
  std::vector<Index> shape;         // of the items
  std::vector<std::string> fields;  // of structured arrays: the names of the parts
  std::vector<Part> parts;
  std::size_t item_size = 0;
  std::uint64_t count = 0;  // of items
  std::uint64_t begin = 0;  // where the items begin

  std::uint64_t data_size() const { return count * item_size; }
  /// `items` times `parts.size()` numbers, those of an item one after another.
  void load(const std::byte* from, std::size_t items, double* to) const;
  /// "expected 240 bytes of data for shape (10, 3) and type "<f8", got 200"
  std::string expected(const std::string& got) const;
};

/// Reads the head of an array that takes `size` bytes; where `size` is only the most that there can be, an array that
/// needs fewer passes. All sizes fit into Index afterwards, also those of the numbers as double.
NpyLayout read_layout(const ReadBytes& read, std::uint64_t size, bool exact, const std::string& name);

/// The whole array.
NpyArray read_array(const ReadBytes& read, std::uint64_t size, bool exact, const std::string& name,
                    const NpyOptions& options);

}  // namespace pushforward::detail
