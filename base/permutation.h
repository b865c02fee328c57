#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/random.h"

namespace alma {

/// A random permutation of 0 .. size-1 named by (seed, purpose, index), like a RandomStream, that needs no memory: any place
/// can be asked for, in any order. A Feistel network (its round function is Philox) permutes a range of 2^(2k) numbers that
/// holds them all, and is applied again to a result beyond `size` (cycle walking: Black and Rogaway, "Ciphers with arbitrary
/// finite domains", 2002): fewer than four times on average from 64 numbers on.
class KeyedPermutation {
 public:
  /// 1 <= size < 2^63.
  KeyedPermutation(std::int64_t size, std::uint64_t seed, std::string_view purpose, std::uint64_t index = 0)
      : size_(static_cast<std::uint64_t>(size)),
        half_bits_(std::max(kLeastBits, static_cast<int>(std::bit_width(size_ - 1) + 1) / 2)),
        philox_(Philox::of(RandomStream::key(seed, purpose))),
        index_(index) {}

  std::int64_t size() const { return static_cast<std::int64_t>(size_); }
  /// The number at place i, 0 <= i < size.
  std::int64_t operator()(std::int64_t i) const {
    auto value = static_cast<std::uint64_t>(i);
    do value = network(value);
    while (value >= size_);
    return static_cast<std::int64_t>(value);
  }

 private:
  static constexpr std::uint64_t kRounds = 6;
  static constexpr int kLeastBits = 4;  // networks with halves of two bits do not reach all permutations alike

  std::uint64_t network(std::uint64_t value) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    std::uint64_t left = value >> half_bits_, right = value & mask;
    for (std::uint64_t round = 0; round < kRounds; ++round)
      left = std::exchange(right, left ^ (philox_.at(round << 32 | right, index_)[0] & mask));
    return left << half_bits_ | right;
  }

  std::uint64_t size_;
  int half_bits_;
  Philox philox_;
  std::uint64_t index_;
};

}  // namespace alma
