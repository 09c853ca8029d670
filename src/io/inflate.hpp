#pragma once

// What DEFLATE packed, unpacked as it is read.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace pushforward::detail {

/// Reads on: puts at most `size` bytes at `data` and says how many; 0 at the end.
using ReadBytes = std::function<std::size_t(void* data, std::size_t size)>;

/// Reads on until there are `size` bytes or no more. Returns their number.
std::size_t read_fully(const ReadBytes& read, void* data, std::size_t size);

/// DEFLATE makes at most so many bytes of one (https://zlib.net/zlib_tech.html).
inline constexpr std::uint64_t kMostInflation = 1032;

/// Whether a file that begins so is gzip's.
bool is_gzip(std::string_view start);

enum class Packed {
  gzip,  ///< RFC 1952: members one after another, each with a checksum, zeros after the last
  bare   ///< RFC 1951: nothing follows the last block
};

/// What `packed` unpacks to, with memory that does not grow. IoError that starts with `name` when it is damaged, does
/// not match its checksum or is not complete.
ReadBytes inflated(ReadBytes packed, std::string name, Packed form);

/// `bytes`; or what they unpack to, where they begin as gzip's files do.
ReadBytes unpacked(ReadBytes bytes, std::string name);

}  // namespace pushforward::detail
