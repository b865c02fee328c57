#pragma once
#include <cstddef>
#include <cstdint>

// Marks functions that .cu files also call on the device.
#if defined(__CUDACC__)
#define ALMA_HOST_DEVICE __host__ __device__
#else
#define ALMA_HOST_DEVICE
#endif

namespace alma {

/// A counter, or the random bits computed from it.
struct PhiloxWords {
  std::uint32_t words[4] = {};

  ALMA_HOST_DEVICE constexpr std::uint32_t operator[](std::size_t i) const { return words[i]; }
  friend constexpr bool operator==(const PhiloxWords&, const PhiloxWords&) = default;
};

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a keyed function from a 128-bit
/// counter to 128 random bits. It has no state: every device can compute every position of every stream independently, with
/// the same bits.
struct Philox {
  static constexpr int kRounds = 10;
  static constexpr std::uint32_t kMultipliers[2] = {0xD2511F53u, 0xCD9E8D57u};
  static constexpr std::uint32_t kKeySteps[2] = {0x9E3779B9u, 0xBB67AE85u};

  std::uint32_t key[2] = {};

  ALMA_HOST_DEVICE static constexpr Philox of(std::uint64_t key) {
    return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)}};
  }
  ALMA_HOST_DEVICE constexpr PhiloxWords operator()(const PhiloxWords& counter) const {
    std::uint32_t k0 = key[0], k1 = key[1];
    std::uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < kRounds; ++round) {
      const std::uint64_t p0 = std::uint64_t{kMultipliers[0]} * c0;
      const std::uint64_t p1 = std::uint64_t{kMultipliers[1]} * c2;
      c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
      c1 = static_cast<std::uint32_t>(p1);
      c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c3 = static_cast<std::uint32_t>(p0);
      k0 += kKeySteps[0];
      k1 += kKeySteps[1];
    }
    return {{c0, c1, c2, c3}};
  }
  /// The 128 bits from bit 128 * position of the stream with this index: the bits that RandomStream draws, in its order.
  ALMA_HOST_DEVICE constexpr PhiloxWords at(std::uint64_t position, std::uint64_t index) const {
    return (*this)({{static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32),
                     static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32)}});
  }
};

}  // namespace alma
