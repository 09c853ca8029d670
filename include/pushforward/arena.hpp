#pragma once

#include <cstddef>
#include <memory>

namespace pushforward {

/// Chunked bump allocator whose memory is kept between uses: once warm it never touches the heap.
///
/// Several threads that make the same sequence of requests, each through a cursor of its own, get the same addresses
/// without talking to each other: so the threads of one training step share their matrices.
class Arena {
 public:
  struct Cursor {
    std::size_t chunk = 0;
    std::size_t offset = 0;
    std::byte* data = nullptr;  ///< of the chunk, once it has been used
    std::size_t size = 0;
  };

  Arena();
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// 64-byte aligned memory; the contents are whatever an earlier use left there.
  void* allocate(Cursor& cursor, std::size_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    if (cursor.offset + bytes > cursor.size) advance(cursor, bytes);
    void* const result = cursor.data + cursor.offset;
    cursor.offset += bytes;
    return result;
  }

  /// Bytes held.
  std::size_t capacity() const;

 private:
  struct State;
  /// To a chunk that has room.
  void advance(Cursor& cursor, std::size_t bytes);
  std::unique_ptr<State> state_;
};

}  // namespace pushforward
