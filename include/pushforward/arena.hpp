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
  };

  Arena();
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// 64-byte aligned memory; the contents are whatever an earlier use left there.
  void* allocate(Cursor& cursor, std::size_t bytes);

  /// Bytes held.
  std::size_t capacity() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pushforward
