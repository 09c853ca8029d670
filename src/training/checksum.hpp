#pragma once

#include <bit>
#include <cstdint>

namespace pushforward::detail {

/// Of numbers in their order. Checkpoints hold it: its bits stay.
class Checksum {
 public:
  void add(std::uint64_t v) {
    value_ = (value_ ^ v) * 0x9e3779b97f4a7c15u;
    value_ ^= value_ >> 29;
  }
  void add(double v) { add(std::bit_cast<std::uint64_t>(v)); }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace pushforward::detail
