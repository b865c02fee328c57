#include "text/word_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace alma::test {
namespace {

WordCache::Key key_of(const std::string& text, std::size_t bytes) {
  return WordCache::key(text.data(), bytes, text.data() + text.size());
}

TEST(WordCache, KeysTellWordsApart) {
  const std::string nul(3, '\0');
  EXPECT_FALSE(key_of(nul, 1) == key_of(nul, 2));
  for (std::size_t bytes = 1; bytes <= WordCache::kLongestWord; ++bytes) {
    const std::string word(bytes, '\xff');
    // What follows is no part of it, whether there is much or nothing.
    EXPECT_TRUE(key_of(word, bytes) == key_of(word + std::string(20, 'x'), bytes)) << bytes;
    for (std::size_t i = 0; i < bytes; ++i) {
      std::string other = word;
      other[i] = 'x';
      EXPECT_FALSE(key_of(word, bytes) == key_of(other, bytes)) << bytes << ' ' << i;
    }
  }
}

// More words than there are places: what is found is right, and the last word is there.
TEST(WordCache, ForgetsButDoesNotErr) {
  WordCache cache;
  std::mt19937_64 random(1);
  std::map<std::string, std::int32_t> numbers;
  int found = 0;
  for (std::int32_t i = 0; i < 400'000; ++i) {
    const std::string word = std::to_string(random() % 300'000);
    const WordCache::Key key = key_of(word, word.size());
    const std::int32_t number = numbers.emplace(word, i).first->second;
    if (const WordCache::Entry* entry = cache.find(key)) {
      ++found;
      ASSERT_EQ(entry->tokens[0], number);
      ASSERT_EQ(entry->count, 1);
    } else {
      cache.insert({key, {number, 0, 0}, 1});
      ASSERT_NE(cache.find(key), nullptr);
    }
  }
  EXPECT_GT(found, 50'000);
}

TEST(WordCache, KeepsWhatIsUsed) {
  WordCache cache;
  const WordCache::Key the = key_of(" the", 4);
  cache.insert({the, {262, 0, 0}, 1});
  for (int i = 0; i < 1'000'000; ++i) {
    const std::string word = std::to_string(i);
    cache.insert({key_of(word, word.size()), {i, 0, 0}, 1});
    ASSERT_NE(cache.find(the), nullptr) << i;
  }
}

}  // namespace
}  // namespace alma::test
