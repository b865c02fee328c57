#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace alma {

/// From short words to their tokens, in bounded memory (4 MiB): each word has its place in one line of four, and takes that
/// of the one that was used longest ago.
class WordCache {
 public:
  static constexpr std::size_t kLongestWord = 15;
  static constexpr std::size_t kMostTokens = 3;

  /// The bytes of a word, then zeros, and its length in the last byte.
  struct Key {
    std::uint64_t low, high;
    bool operator==(const Key&) const = default;
  };

  struct Entry {
    Key key{};
    std::array<std::int32_t, kMostTokens> tokens{};
    std::int32_t count = 0;
  };

  WordCache() : lines_(kLines) {}

  /// A word of 1 .. kLongestWord bytes in a text that ends at `end`.
  static Key key(const char* begin, std::size_t bytes, const char* end) {
    Key key{0, 0};
    if (end - begin >= 16) {  // two loads instead of a copy of `bytes` bytes
      std::memcpy(&key, begin, sizeof key);
      key.low &= kMasks[bytes].low;
      key.high &= kMasks[bytes].high;
    } else {
      std::memcpy(&key, begin, bytes);
    }
    key.high |= std::uint64_t{bytes} << 56;
    return key;
  }

  /// Has the place of a word loaded from memory; the half of it where most words are found, as they were used last.
  void prefetch(const Key& key) const { __builtin_prefetch(&lines_[place_of(key)]); }

  /// Null if the word is not there. Valid until the next call.
  const Entry* find(const Key& key) {
    Line& line = lines_[place_of(key)];
    if (line[0].key == key) return &line[0];
    for (auto entry = line.begin() + 1; entry != line.end(); ++entry)
      if (entry->key == key) {
        std::rotate(line.begin(), entry, entry + 1);
        return &line[0];
      }
    return nullptr;
  }

  /// A word that is not there.
  void insert(const Entry& entry) {
    Line& line = lines_[place_of(entry.key)];
    std::move_backward(line.begin(), line.end() - 1, line.end());
    line[0] = entry;
  }

 private:
  struct alignas(64) Line : std::array<Entry, 4> {};
  static constexpr int kLineBits = 15;
  static constexpr std::size_t kLines = std::size_t{1} << kLineBits;

  static constexpr std::array<Key, kLongestWord + 1> kMasks = [] {
    std::array<Key, kLongestWord + 1> masks{};
    for (std::size_t bytes = 0; bytes <= kLongestWord; ++bytes) {
      masks[bytes].low = bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * bytes) - 1;
      masks[bytes].high = bytes < 8 ? 0 : (std::uint64_t{1} << 8 * (bytes - 8)) - 1;
    }
    return masks;
  }();

  static std::size_t place_of(const Key& key) {
    return (key.low ^ key.high * 0xff51afd7ed558ccd) * 0x9e3779b97f4a7c15 >> (64 - kLineBits);
  }

  std::vector<Line> lines_;
};

}  // namespace alma
