#pragma once

#include <cstdint>

namespace pushforward::kernels {

struct PhiloxBlock {
  std::uint32_t x0, x1, x2, x3;
};

inline constexpr std::uint32_t philox_multiplier[] = {0xD2511F53u, 0xCD9E8D57u};
inline constexpr std::uint32_t philox_weyl[] = {0x9E3779B9u, 0xBB67AE85u};
inline constexpr std::uint32_t philox_rounds = 10;

/// Philox 4x32-10 of one counter.
inline PhiloxBlock philox(PhiloxBlock x, std::uint64_t key) {
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (std::uint32_t i = 0; i < philox_rounds; ++i, k0 += philox_weyl[0], k1 += philox_weyl[1]) {
    const std::uint64_t p0 = std::uint64_t{philox_multiplier[0]} * x.x0;
    const std::uint64_t p1 = std::uint64_t{philox_multiplier[1]} * x.x2;
    x = {static_cast<std::uint32_t>(p1 >> 32) ^ x.x1 ^ k0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ x.x3 ^ k1, static_cast<std::uint32_t>(p0)};
  }
  return x;
}

}  // namespace pushforward::kernels
