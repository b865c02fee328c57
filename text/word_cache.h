#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace alma {

/// From short words to their tokens, in bounded memory (4 MiB): each word has its place in one line of two, where the one that
/// was used last stays.
class WordCache {
 public:
  static constexpr std::size_t kLongestWord = 15;
  static constexpr std::size_t kMostTokens = 3;

  /// The bytes of a word, then zeros, and its length in the last byte.
  struct Word {
    std::uint64_t low, high;
    bool operator==(const Word&) const = default;
  };

  struct Entry {
    Word word{};
    std::array<std::int32_t, kMostTokens> tokens{};
    std::int32_t count = 0;
  };

  WordCache() : lines_(kLines) {}

  /// A word of 1 .. kLongestWord bytes in a text that ends at `end`.
  static Word word(const char* begin, std::size_t bytes, const char* end) {
    Word word{0, 0};
    if (end - begin >= 16) {  // two loads instead of a copy of `bytes` bytes
      std::memcpy(&word, begin, sizeof word);
      word.low &= kMasks[bytes].low;
      word.high &= kMasks[bytes].high;
    } else {
      std::memcpy(&word, begin, bytes);
    }
    word.high |= std::uint64_t{bytes} << 56;
    return word;
  }

  /// Null if the word is not there. Valid until the next call.
  const Entry* find(const Word& word) {
    Line& line = lines_[place_of(word)];
    if (line[0].word == word) return &line[0];
    if (line[1].word != word) return nullptr;
    std::swap(line[0], line[1]);
    return &line[0];
  }

  /// A word that is not there.
  void insert(const Entry& entry) {
    Line& line = lines_[place_of(entry.word)];
    line[1] = line[0];
    line[0] = entry;
  }

 private:
  struct alignas(64) Line : std::array<Entry, 2> {};
  static constexpr int kLineBits = 16;
  static constexpr std::size_t kLines = std::size_t{1} << kLineBits;

  static constexpr std::array<Word, kLongestWord + 1> kMasks = [] {
    std::array<Word, kLongestWord + 1> masks{};
    for (std::size_t bytes = 0; bytes <= kLongestWord; ++bytes) {
      masks[bytes].low = bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * bytes) - 1;
      masks[bytes].high = bytes < 8 ? 0 : (std::uint64_t{1} << 8 * (bytes - 8)) - 1;
    }
    return masks;
  }();

  static std::size_t place_of(const Word& word) {
    return (word.low ^ word.high * 0xff51afd7ed558ccd) * 0x9e3779b97f4a7c15 >> (64 - kLineBits);
  }

  std::vector<Line> lines_;
};

}  // namespace alma
