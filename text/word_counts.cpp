#include "text/word_counts.h"

namespace alma {

void WordCounts::add(std::string_view document, InvalidBytes policy) {
  std::string storage;
  document = valid_text(document, policy, storage);
  const char* const end = document.data() + document.size();
  for (const char *at = document.data(), *after; at < end; at = after) {
    after = splitter_.word_end(at, end);
    const std::string_view word(at, static_cast<std::size_t>(after - at));
    const auto known = counts_.find(word);
    if (known == counts_.end())
      counts_.emplace(word, 1);
    else
      ++known->second;
  }
}

}  // namespace alma
