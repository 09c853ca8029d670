#pragma once

// Files for the readers and writers of this folder. POSIX underneath; every failure is an IoError that starts with the
// path and ends with the system's reason.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <pushforward/views.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pushforward::detail {

/// `text` in double quotes for an error message: control bytes escaped, cut after 40 bytes.
std::string show(std::string_view text);

/// `a * b`, or nothing when it does not fit.
std::optional<std::uint64_t> checked_product(std::uint64_t a, std::uint64_t b);

/// Number of elements of a tensor. Nothing when the product of the extents, zeros left out, times `item_size` exceeds
/// what Index holds: so no partial product overflows, in any order, even for a tensor without elements.
std::optional<std::uint64_t> checked_count(const std::vector<Index>& shape, std::uint64_t item_size);

/// A file opened for reading.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  static InputFile standard_input();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  ~InputFile();

  /// True for a plain file, whose size is known and which can be read at any offset.
  bool is_regular() const { return regular_; }
  std::uint64_t size() const { return size_; }
  /// Reads on from the current position. Returns the number of bytes; 0 at the end.
  std::size_t read(void* data, std::size_t size);
  /// All of it as memory, of a regular file that is not empty; the caller unmaps it.
  std::span<const std::byte> map() const;
  /// Reads exactly `size` bytes at `offset`; IoError if the file ends before.
  void read_at(std::uint64_t offset, void* data, std::size_t size) const;

 private:
  InputFile() = default;
  std::string name_;
  int descriptor_ = -1;
  bool owns_ = false;
  bool regular_ = false;
  std::uint64_t size_ = 0;
};

/// A regular file as memory that can only be read. What becomes shorter under it ends the process (SIGBUS).
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

/// All that is left in a file, after `begin`: what was read already; not more than `most` bytes with it.
std::vector<std::byte> read_file(InputFile& file, std::vector<std::byte> begin = {},
                                 std::uint64_t most = std::numeric_limits<std::uint64_t>::max());
std::vector<std::byte> read_file(const std::filesystem::path& path);

/// A file that appears whole or not at all: written in the same folder, without a name where the system has such files
/// (so that a process that is killed leaves nothing behind), else to a temporary; `commit` flushes it to the disk and
/// puts it in the target's place. Destroyed without `commit`, or after a failure, it leaves the old file as it was. A
/// symbolic link is followed; the mode of a replaced file is kept. Devices and pipes are written directly.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  /// Standard output: written directly.
  static AtomicFile standard_output();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  void write(const void* data, std::size_t size);
  void commit();

 private:
  AtomicFile() = default;
  void close_and_remove() noexcept;
  std::string name_;
  std::filesystem::path target_;
  std::filesystem::path temporary_;  // empty: has no name yet, or is written directly
  int descriptor_ = -1;
  bool owns_ = false;
  bool replaces_ = false;  // the target, when it is complete; else written directly
};

}  // namespace pushforward::detail
