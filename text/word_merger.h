#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace alma {

/// Turns a word into tokens: merges the pair of the lowest rank, of several the leftmost one, until no pair has a rank.
class WordMerger {
 public:
  /// The vocabulary must outlive it.
  explicit WordMerger(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  /// The longest word, in bytes.
  static constexpr std::size_t kLongestWord = std::size_t{5} << 20;

  /// Appends the tokens of a word. Takes O(n log n) steps for n bytes. Throws Error (data) for a word beyond kLongestWord.
  void merge(std::string_view word, std::vector<std::int32_t>& ids);

  /// The number of ranks that were looked up or compared so far; for tests, which cannot trust a clock.
  std::uint64_t steps() const { return steps_; }

 private:
  void merge_short(std::string_view word, std::vector<std::int32_t>& ids);
  void merge_long(std::string_view word, std::vector<std::int32_t>& ids);

  std::uint32_t rank(std::int32_t left, std::int32_t right) {
    ++steps_;
    return vocabulary_.rank(left, right);
  }

  /// A place in a long word, linked to its neighbours by their numbers.
  struct Place {
    std::int32_t token;
    std::uint32_t before, after;
    std::uint32_t rank;  // of the pair that it forms with the next place
  };

  const Vocabulary& vocabulary_;
  std::vector<Place> places_;
  std::vector<std::uint64_t> sorted_, heap_;
  std::uint64_t steps_ = 0;
};

}  // namespace alma
