#include "text/bpe_encoder.h"

#include <algorithm>

namespace alma {

void BpeEncoder::encode(std::string_view document, std::vector<std::int32_t>& ids, InvalidBytes policy) {
  std::string storage;
  document = valid_text(document, policy, storage);

  const char *at = document.data(), *const end = at + document.size();
  while (at < end) {
    // Words in groups: the places of all of them in the cache are on their way from memory before the first is needed.
    std::size_t count = 0;
    for (; count < words_.size() && at < end; ++count) {
      const char* after = splitter_.word_end(at, end);
      words_[count] = {at, static_cast<std::size_t>(after - at), {}};
      if (words_[count].bytes <= WordCache::kLongestWord) {
        words_[count].key = WordCache::key(at, words_[count].bytes, end);
        cache_.prefetch(words_[count].key);
      }
      at = after;
    }
    encode_words({words_.data(), count}, ids);
  }
}

void BpeEncoder::encode_words(std::span<const Word> words, std::vector<std::int32_t>& ids) {
  // Ids are collected here: an entry of the cache is copied whole, and then only as much of it counts as there is.
  std::array<std::int32_t, WordCache::kMostTokens * kWords> collected;
  auto next = collected.begin();
  for (const auto& [begin, bytes, key] : words) {
    const WordCache::Entry* entry = bytes <= WordCache::kLongestWord ? cache_.find(key) : nullptr;
    if (entry) {
      std::copy(entry->tokens.begin(), entry->tokens.end(), next);
      next += entry->count;
      continue;
    }
    ids.insert(ids.end(), collected.begin(), next);
    next = collected.begin();
    encode_new_word({begin, bytes}, key, ids);
  }
  ids.insert(ids.end(), collected.begin(), next);
}

void BpeEncoder::encode_new_word(std::string_view word, const WordCache::Key& key, std::vector<std::int32_t>& ids) {
  const std::size_t before = ids.size();
  merger_.merge(word, ids);
  const std::size_t count = ids.size() - before;
  if (word.size() > WordCache::kLongestWord || count > WordCache::kMostTokens) return;
  WordCache::Entry entry{key, {}, static_cast<std::int32_t>(count)};
  std::copy(ids.end() - static_cast<std::ptrdiff_t>(count), ids.end(), entry.tokens.begin());
  cache_.insert(entry);
}

}  // namespace alma
