#include "text/bpe_encoder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "base/utf8.h"
#include "tests/data/files.h"
#include "tests/text/golden.h"
#include "text/byte_alphabet.h"

namespace alma::test {
namespace {

TEST(BpeEncoder, TokensAreThoseOfHuggingFace) {
  const Vocabulary& vocabulary = small_vocabulary();
  for (const auto& one : golden()["cases"]) {
    std::vector<std::string> tokens;
    for (const std::int32_t id : encoded(vocabulary, one["text"].get<std::string>()))
      tokens.push_back(to_characters(vocabulary.token(id)));
    EXPECT_EQ(tokens, one["small"].get<std::vector<std::string>>()) << one["text"];
  }
}

TEST(BpeEncoder, IdsOfGpt2AreThoseOfTiktoken) {
  const auto folder = gpt2_folder();
  if (!folder) GTEST_SKIP() << "no gpt2-bpe in ALMA_DATA";
  const Vocabulary vocabulary = read_vocabulary(*folder);
  BpeEncoder encoder(vocabulary);
  for (const int round : {1, 2}) {  // in the second round all short words are in the cache
    for (const auto& one : golden()["cases"]) {
      std::vector<std::int32_t> ids;
      encoder.encode(one["text"].get<std::string>(), ids);
      EXPECT_EQ(ids, one["gpt2"].get<std::vector<std::int32_t>>()) << one["text"] << " in round " << round;
    }
  }
}

TEST(BpeEncoder, SpecialTokensAreText) {
  const Vocabulary& vocabulary = small_vocabulary();
  const std::int32_t end = vocabulary.special(kEndOfText).value();
  EXPECT_EQ(end, vocabulary.size() - 1);
  EXPECT_EQ(vocabulary.special("<|im_start|>"), std::nullopt);
  const std::vector<std::int32_t> ids = encoded(vocabulary, "a\n<|endoftext|>\nb");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), end), 0);
  EXPECT_EQ(decode(vocabulary, ids), "a\n<|endoftext|>\nb");
  EXPECT_EQ(decode(vocabulary, std::vector<std::int32_t>{end}), kEndOfText);
}

// DocumentReader cuts long documents in front of white space that follows another character: the tokens stay the same.
TEST(BpeEncoder, ACutInFrontOfWhiteSpaceAfterAnotherCharacterChangesNoToken) {
  const Vocabulary& vocabulary = small_vocabulary();
  const std::vector<std::string> parts = {
      " ", "  ", "\n", "\r\n",     "\t",           "\xc2\xa0",         "\xe3\x80\x80", "a", "the", "'s",
      "'", "12", "?!", "\xc3\xa9", "\xe4\xb8\xad", "\xf0\x9f\x99\x82", "<|endoftext|>"};
  const auto is_space = [&](const std::string& part) { return &part < &parts[7]; };
  RandomStream random(1, "cuts");
  int cuts = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    std::vector<std::size_t> places;
    bool space = true;
    for (int i = 0; i < 12; ++i) {
      const std::string& part = parts[random.below(static_cast<std::uint32_t>(parts.size()))];
      if (is_space(part) && !space) places.push_back(text.size());
      space = is_space(part);
      text += part;
    }
    const std::vector<std::int32_t> whole = encoded(vocabulary, text);
    for (const std::size_t place : places) {
      std::vector<std::int32_t> ids;
      BpeEncoder encoder(vocabulary);
      encoder.encode(text.substr(0, place), ids);
      encoder.encode(text.substr(place), ids);
      ASSERT_EQ(ids, whole) << text << " cut at " << place;
      ++cuts;
    }
  }
  EXPECT_GT(cuts, 2000);
}

TEST(BpeEncoder, AppendsToWhatIsThere) {
  std::vector<std::int32_t> ids = {7};
  BpeEncoder encoder(small_vocabulary());
  encoder.encode("", ids);
  EXPECT_EQ(ids, std::vector<std::int32_t>{7});
  encoder.encode("sea", ids);
  encoder.encode("sea", ids);
  std::vector<std::int32_t> expected = {7};
  for (int i = 0; i < 2; ++i)
    for (const std::int32_t id : encoded(small_vocabulary(), "sea")) expected.push_back(id);
  EXPECT_EQ(ids, expected);
}

TEST(BpeEncoder, InvalidBytesAreRefusedWithTheirOffset) {
  BpeEncoder encoder(small_vocabulary());
  std::vector<std::int32_t> ids;
  expect_error(ErrorKind::data, {"not valid UTF-8", "byte 7 is \\xE9", "before \"x\""},
               [&] { encoder.encode("a caf\xc3\xa9\xe9x", ids); });
  expect_error(ErrorKind::data, {"byte 0 is \\xFF", "\\xFEa"}, [&] {
    encoder.encode(std::string("\xff\xfe"
                               "a\0",
                               4),
                   ids);
  });
  EXPECT_TRUE(ids.empty());
}

TEST(BpeEncoder, InvalidBytesAreReplacedAsByPython) {
  BpeEncoder encoder(small_vocabulary());
  for (const auto& one : golden()["invalid"]) {
    const std::string hex = one["hex"];
    std::string bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    std::vector<std::int32_t> ids;
    encoder.encode(bytes, ids, InvalidBytes::replace);
    EXPECT_EQ(decode(small_vocabulary(), ids), one["replaced"]) << hex;
  }
}

TEST(BpeEncoder, DecodesWhatItEncodes) {
  const auto folder = gpt2_folder();
  const Vocabulary vocabulary = folder ? read_vocabulary(*folder) : small_vocabulary();
  BpeEncoder encoder(vocabulary);
  std::mt19937_64 random(2);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 2 * kManyTimes; ++i) {
    std::string text;
    if (i % 2 == 0)
      text = random_text(random, 8);
    else
      for (std::uint64_t count = random() % 24; count > 0; --count)
        text += static_cast<char>(random() % (i % 4 == 1 ? 256 : 128));
    ids.clear();
    encoder.encode(text, ids, InvalidBytes::replace);
    ASSERT_EQ(decode(vocabulary, ids), replace_invalid_utf8(text)) << "text " << i;
  }
}

TEST(BpeEncoder, DecodingRefusesIdsOfOtherVocabularies) {
  for (const std::int32_t id : {-1, small_vocabulary().size(), 50256})
    expect_error(ErrorKind::data,
                 {"id " + std::to_string(id), "number 1 of 3", "0 .. " + std::to_string(small_vocabulary().size() - 1)},
                 [id] {
                   decode(small_vocabulary(), std::vector<std::int32_t>{0, id, 1});
                 });
}

// By hand: the bytes of the word, and again the pair of the lowest rank, the leftmost first.
std::vector<std::int32_t> merged_by_hand(const Vocabulary& vocabulary, std::string_view word) {
  std::vector<std::int32_t> ids;
  for (const char byte : word) ids.push_back(vocabulary.byte_token(static_cast<unsigned char>(byte)));
  for (;;) {
    std::uint32_t lowest = PairTable::kNone;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i)
      if (const std::uint32_t rank = vocabulary.rank(ids[i], ids[i + 1]); rank < lowest) {
        lowest = rank;
        at = i;
      }
    if (lowest == PairTable::kNone) return ids;
    ids[at] = vocabulary.merges()[lowest].token;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(WordMerger, AWordWithoutEndIsRefused) {
  std::vector<std::int32_t> ids;
  expect_error(ErrorKind::data, {"a word of 5242881 bytes", "at most 5242880"},
               [&] { BpeEncoder(small_vocabulary()).encode(std::string(WordMerger::kLongestWord + 1, 'a'), ids); });
}

TEST(WordMerger, LongWordsAreMergedAsByHand) {
  const Vocabulary& vocabulary = small_vocabulary();
  WordMerger merger(vocabulary);
  std::mt19937_64 random(3);
  const std::string frequent = "the sea ing ever see tt..--==";
  for (int i = 0; i < kManyTimes / 500; ++i) {
    std::string word;
    for (std::uint64_t count = 1 + random() % 200; count > 0; --count) word += frequent[random() % frequent.size()];
    std::vector<std::int32_t> ids;
    merger.merge(word, ids);
    ASSERT_EQ(ids, merged_by_hand(vocabulary, word)) << word;
  }
}

// A word of a hundred kilobytes takes a few steps for each byte, and one of four times its size four times as many.
TEST(WordMerger, StepsGrowWithTheLength) {
  const auto steps_of = [](const std::string& text) {
    BpeEncoder encoder(small_vocabulary());
    std::vector<std::int32_t> ids;
    encoder.encode(text, ids);
    return encoder.merge_steps();
  };
  std::mt19937_64 random(4);
  std::string letters, japanese;
  for (int i = 0; i < 400'000; ++i) letters += static_cast<char>('a' + random() % 26);
  while (japanese.size() < 399'999) japanese += "日";
  const std::size_t quarter = 99'999;
  for (const std::string& text :
       {std::string(400'000, 'e'), std::string(400'000, '.'), std::string(400'000, ' '), letters, japanese}) {
    const std::uint64_t all = steps_of(text), part = steps_of(text.substr(0, quarter));
    EXPECT_LE(part, 6 * quarter) << text.substr(0, 9);
    EXPECT_LE(all, 5 * part) << text.substr(0, 9);
  }
}

TEST(WordMerger, ShortWordsTakeNoMoreStepsThanTheirSquare) {
  WordMerger merger(small_vocabulary());
  std::vector<std::int32_t> ids;
  merger.merge(std::string(64, '.'), ids);
  EXPECT_LE(merger.steps(), 64u * 64u);
}

}  // namespace
}  // namespace alma::test
