#include "text/train_bpe.h"

#include <gtest/gtest.h>

#include "base/checksum.h"
#include "tests/data/files.h"
#include "tests/text/golden.h"
#include "text/byte_alphabet.h"
#include "text/word_merger.h"

namespace alma::test {
namespace {

void expect_tokens_encode_to_themselves(const Vocabulary& vocabulary) {
  WordMerger merger(vocabulary);
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.is_special(id)) continue;
    std::vector<std::int32_t> ids;
    merger.merge(vocabulary.token(id), ids);
    EXPECT_EQ(ids, std::vector<std::int32_t>{id}) << to_characters(vocabulary.token(id));
  }
}

TEST(TrainBpe, MergesAreThoseOfHuggingFace) {
  for (const auto& one : golden()["training"]) {
    const Vocabulary vocabulary = train_on_lines(one["text"].get<std::string>(), one["size"]);
    EXPECT_EQ(merge_lines(vocabulary), one["merges"].get<std::vector<std::string>>()) << one["text"];
    EXPECT_LE(vocabulary.size(), one["size"].get<std::int32_t>());
    EXPECT_EQ(vocabulary.special(kEndOfText), vocabulary.size() - 1);
  }
}

TEST(TrainBpe, BytesComeFirstInTheOrderOfTheirCharacters) {
  const Vocabulary vocabulary = train_on_lines("", 1000);
  ASSERT_EQ(vocabulary.size(), 257);
  EXPECT_EQ(vocabulary.token(0), "!");
  EXPECT_EQ(vocabulary.token(93), "~");
  EXPECT_EQ(vocabulary.token(188), std::string(1, '\0'));
  EXPECT_EQ(vocabulary.token(220), " ");
  EXPECT_EQ(vocabulary.token(255), "\xad");
}

TEST(TrainBpe, TokensEncodeToThemselves) { expect_tokens_encode_to_themselves(small_vocabulary()); }

TEST(TrainBpe, DocumentsOneByOneOrInAnotherOrderGiveTheSame) {
  WordCounts there, back;
  const std::vector<std::string> documents = {"the sea, the sea", "a whale\n", "the whale and the sea", "don't"};
  for (const std::string& document : documents) there.add(document);
  for (auto document = documents.rbegin(); document != documents.rend(); ++document) back.add(*document);
  EXPECT_EQ(train_bpe(there, 290).hash(), train_bpe(back, 290).hash());
}

TEST(TrainBpe, CountsWords) {
  WordCounts words;
  words.add("the sea the sea's");
  words.add(" the");
  EXPECT_EQ(words.counts(), (WordCounts::Counts{{"the", 1}, {" sea", 2}, {" the", 2}, {"'s", 1}}));
  expect_error(ErrorKind::data, {"byte 4 is \\xFF"}, [&] { words.add("the \xff"); });
  EXPECT_EQ(words.counts().at("the"), 1);
  words.add("the\xff", InvalidBytes::replace);
  EXPECT_EQ(words.counts().at("\xef\xbf\xbd"), 1);
}

TEST(TrainBpe, RefusesAVocabularyWithoutRoomForTheBytes) {
  for (const std::int32_t size : {-1, 0, 256})
    expect_error(ErrorKind::usage, {"a vocabulary of " + std::to_string(size), "at least 257"},
                 [size] { train_bpe(WordCounts(), size); });
}

void expect_golden_merges(const std::string& name) {
  const auto text = real_text(name);
  if (!text) GTEST_SKIP() << "no " << name << " in ALMA_DATA";
  const auto& expected = golden()["merges"][name];
  const Vocabulary vocabulary = train_on_lines(*text, expected["size"]);
  std::string lines;
  for (const std::string& line : merge_lines(vocabulary)) lines += line + "\n";
  EXPECT_EQ(vocabulary.merges().size(), expected["count"].get<std::size_t>());
  EXPECT_EQ(sha256(lines), expected["sha256"]);
  EXPECT_EQ(vocabulary.size(), expected["size"].get<std::int32_t>());
  expect_tokens_encode_to_themselves(vocabulary);
}

TEST(TrainBpe, MergesOfANovelsValidationPart) { expect_golden_merges("novels-valid"); }
TEST(TrainBpe, MergesOfAllNovels) { expect_golden_merges("novels-train"); }

}  // namespace
}  // namespace alma::test
