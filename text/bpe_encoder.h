#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/invalid_bytes.h"
#include "text/vocabulary.h"
#include "text/word_cache.h"
#include "text/word_merger.h"
#include "text/word_splitter.h"

namespace alma {

/// Encodes texts as tokens. For one thread; each thread has its own, with its own cache of words (4 MiB).
class BpeEncoder {
 public:
  /// The vocabulary must outlive it.
  explicit BpeEncoder(const Vocabulary& vocabulary) : merger_(vocabulary) {}

  /// Appends the ids of a whole document. Special tokens are text like any other: the caller adds the ids of those that it
  /// wants. Cut into pieces, a document may get other ids. Throws Error (data) as `policy` says.
  void encode(std::string_view document, std::vector<std::int32_t>& ids, InvalidBytes policy = InvalidBytes::refuse);

  /// See WordMerger::steps().
  std::uint64_t merge_steps() const { return merger_.steps(); }

 private:
  static constexpr std::size_t kWords = 64;
  struct Word {
    const char* begin;
    std::size_t bytes;
    WordCache::Key key;  // of a word that is short enough
  };

  void encode_words(std::span<const Word> words, std::vector<std::int32_t>& ids);
  void encode_new_word(std::string_view word, const WordCache::Key& key, std::vector<std::int32_t>& ids);

  WordSplitter splitter_;
  WordCache cache_;
  WordMerger merger_;
  std::array<Word, kWords> words_;  // a group that is looked up at once
};

}  // namespace alma
