#pragma once
#include <cmath>
#include <cstdint>
#include <numbers>
#include <numeric>
#include <string_view>
#include <vector>

#include "base/philox.h"

namespace alma {

/// A stream of random numbers named by (seed, purpose, index): the same name gives the same numbers in every process, in any
/// order of use, for any number of threads. Two names never share a position, so nothing has to be saved or passed on.
///   RandomStream shuffle(config.seed, "shuffle", epoch);
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view purpose, std::uint64_t index = 0)
      : philox_(Philox::of(key(seed, purpose))), index_(index) {}
  /// Names (seed, purpose) for a RandomPlace.
  static std::uint64_t key(std::uint64_t seed, std::string_view purpose) {
    // FNV-1a hash of the purpose, then mixed with the seed (SplitMix64's finaliser).
    std::uint64_t name = 0xcbf29ce484222325u;
    for (char c : purpose) name = (name ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    return mix(mix(seed) ^ name);
  }

  std::uint32_t bits() {
    if (used_ == 4) {
      block_ = philox_.at(position_, index_);
      ++position_;
      used_ = 0;
    }
    return block_[used_++];
  }
  /// Uniform in [0, 1), 53 bits.
  double uniform() {
    const std::uint64_t high = bits() >> 5, low = bits() >> 6;
    return static_cast<double>(high * 67108864u + low) * 0x1p-53;
  }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Standard normal (Box-Muller, one of the pair).
  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }
  /// Uniform integer in [0, n), n >= 1, without bias (Lemire's rejection).
  std::uint32_t below(std::uint32_t n) {
    std::uint64_t product = std::uint64_t{bits()} * n;
    for (const std::uint32_t reject = -n % n; static_cast<std::uint32_t>(product) < reject;)
      product = std::uint64_t{bits()} * n;
    return static_cast<std::uint32_t>(product >> 32);
  }
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(static_cast<std::uint32_t>(i))]);
  }
  /// 0 .. n-1 in random order (Fisher-Yates).
  std::vector<std::int32_t> permutation(std::int64_t n) {
    std::vector<std::int32_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    shuffle(order);
    return order;
  }

 private:
  static constexpr std::uint64_t mix(std::uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  }

  Philox philox_;
  std::uint64_t index_;
  std::uint64_t position_ = 0;
  PhiloxWords block_;
  std::size_t used_ = 4;
};

}  // namespace alma
