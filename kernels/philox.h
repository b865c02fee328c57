#pragma once
#include <array>
#include <cstdint>

namespace alma {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a keyed function from a 128-bit
/// counter to 128 random bits. No state: any device computes any position of any stream alone.
struct Philox {
  std::array<std::uint32_t, 2> key{};

  constexpr std::array<std::uint32_t, 4> operator()(std::array<std::uint32_t, 4> counter) const {
    std::array<std::uint32_t, 2> k = key;
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
      counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k[0], static_cast<std::uint32_t>(p1),
                 static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k[1], static_cast<std::uint32_t>(p0)};
      k[0] += 0x9E3779B9u;
      k[1] += 0xBB67AE85u;
    }
    return counter;
  }
};

}  // namespace alma
