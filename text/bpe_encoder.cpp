#include "text/bpe_encoder.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"

namespace alma {

std::string_view valid_utf8(std::string_view text, InvalidBytes policy, std::string& storage) {
  const std::optional<std::size_t> wrong = first_invalid_utf8(text);
  if (!wrong) return text;
  if (policy == InvalidBytes::refuse)
    fail(ErrorKind::data, "the text is not valid UTF-8: byte ", *wrong, " is ", shown_bytes(text.substr(*wrong, 1)), " before \"",
         shown_bytes(text.substr(*wrong + 1, 20)), "\"; convert the text, or have invalid bytes replaced");
  return storage = replace_invalid_utf8(text);
}

void BpeEncoder::encode(std::string_view document, std::vector<std::int32_t>& ids, InvalidBytes policy) {
  std::string storage;
  document = valid_utf8(document, policy, storage);

  // Ids are collected here first: an entry of the cache is copied whole, and then only as much of it counts as there is.
  constexpr std::size_t room = WordCache::kMostTokens;
  std::array<std::int32_t, 1024> collected;
  std::size_t count = 0;
  const auto flush = [&] {
    ids.insert(ids.end(), collected.begin(), collected.begin() + static_cast<std::ptrdiff_t>(count));
    count = 0;
  };
  const char* const end = document.data() + document.size();
  for (const char *at = document.data(), *after; at < end; at = after) {
    after = splitter_.word_end(at, end);
    const std::size_t bytes = static_cast<std::size_t>(after - at);
    if (bytes > WordCache::kLongestWord) {
      flush();
      merger_.merge({at, bytes}, ids);
      continue;
    }
    const WordCache::Word word = WordCache::word(at, bytes, end);
    if (const WordCache::Entry* entry = cache_.find(word)) {
      if (count + room > collected.size()) flush();
      std::copy(entry->tokens.begin(), entry->tokens.end(), collected.begin() + static_cast<std::ptrdiff_t>(count));
      count += static_cast<std::size_t>(entry->count);
    } else {
      flush();
      encode_new_word({at, bytes}, word, ids);
    }
  }
  flush();
}

void BpeEncoder::encode_new_word(std::string_view word, const WordCache::Word& key, std::vector<std::int32_t>& ids) {
  const std::size_t before = ids.size();
  merger_.merge(word, ids);
  const std::size_t count = ids.size() - before;
  if (count > WordCache::kMostTokens) return;
  WordCache::Entry entry{key, {}, static_cast<std::int32_t>(count)};
  std::copy(ids.end() - static_cast<std::ptrdiff_t>(count), ids.end(), entry.tokens.begin());
  cache_.insert(entry);
}

}  // namespace alma
