#include "src/io/inflate.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <pushforward/error.hpp>
#include <utility>
#include <vector>

#include "src/io/text.hpp"

namespace pushforward::detail {

namespace {

class Inflater {
 public:
  Inflater(ReadBytes packed, std::string name, Packed form)
      : packed_(std::move(packed)), name_(std::move(name)), form_(form), buffer_(kBufferSize) {
    // 15 bits of window are the most there are; 16 more ask for gzip's frame, a minus for none.
    if (inflateInit2(&stream_, form == Packed::gzip ? 15 + 16 : -15) != Z_OK) throw std::bad_alloc();
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  std::size_t read(void* data, std::size_t size) {
    constexpr std::size_t kMost = std::size_t{1} << 30;  // zlib counts in 32 bits
    const std::size_t wanted = std::min(size, kMost);
    stream_.next_out = static_cast<Bytef*>(data);
    stream_.avail_out = static_cast<uInt>(wanted);
    while (stream_.avail_out == wanted && wanted > 0 && begin_or_go_on()) {
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_MEM_ERROR) throw std::bad_alloc();
      if (status == Z_STREAM_END) {
        within_ = false;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        throw IoError(fmt::format("{}: the compressed data are damaged ({})", name_,
                                  stream_.msg != nullptr ? stream_.msg : "no valid block"));
      }
    }
    return wanted - stream_.avail_out;
  }

 private:
  /// Whether there is more to unpack: then it is at hand.
  bool begin_or_go_on() {
    for (;;) {
      if (stream_.avail_in == 0) {
        stream_.next_in = buffer_.data();
        stream_.avail_in = static_cast<uInt>(packed_(buffer_.data(), buffer_.size()));
      }
      if (within_) {
        if (stream_.avail_in > 0) return true;
        throw IoError(name_ + ": the compressed data end too early: the file is not complete");
      }
      if (stream_.avail_in == 0) return false;
      if (form_ == Packed::bare) throw IoError(name_ + ": bytes follow the end of the compressed data");
      // Tapes fill their blocks with zeros.
      Bytef* const end = stream_.next_in + stream_.avail_in;
      stream_.next_in = std::find_if(stream_.next_in, end, [](Bytef b) { return b != 0; });
      stream_.avail_in = static_cast<uInt>(end - stream_.next_in);
      if (stream_.avail_in == 0) continue;
      inflateReset(&stream_);
      return within_ = true;
    }
  }

  ReadBytes packed_;
  std::string name_;
  Packed form_;
  std::vector<unsigned char> buffer_;
  z_stream stream_{};
  bool within_ = true;  // some of the data that were begun are still to come
};

}  // namespace

std::size_t read_fully(const ReadBytes& read, void* data, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const std::size_t got = read(static_cast<char*>(data) + done, size - done);
    if (got == 0) break;
    done += got;
  }
  return done;
}

bool is_gzip(std::string_view start) { return start.starts_with("\x1f\x8b"); }

ReadBytes inflated(ReadBytes packed, std::string name, Packed form) {
  const auto inflater = std::make_shared<Inflater>(std::move(packed), std::move(name), form);
  return [inflater](void* data, std::size_t size) { return inflater->read(data, size); };
}

ReadBytes unpacked(ReadBytes bytes, std::string name) {
  std::string start(2, '\0');
  start.resize(read_fully(bytes, start.data(), start.size()));
  const bool packed = is_gzip(start);
  ReadBytes all = [start, bytes = std::move(bytes)](void* data, std::size_t size) mutable {
    if (start.empty()) return bytes(data, size);
    const std::size_t now = std::min(size, start.size());
    std::memcpy(data, start.data(), now);
    start.erase(0, now);
    return now;
  };
  return packed ? inflated(std::move(all), std::move(name), Packed::gzip) : all;
}

}  // namespace pushforward::detail
