#include <gtest/gtest.h>

#include "base/checksum.h"
#include "tests/text/golden.h"
#include "text/bpe_encoder.h"

namespace alma::test {
namespace {

/// Documents are separated by lines that hold only the name of the separator.
std::vector<std::string> documents_of(const std::string& text) {
  const std::string separator = "\n" + std::string(kEndOfText) + "\n";
  std::vector<std::string> documents;
  for (std::size_t begin = 0, end = 0; end != text.npos; begin = end + separator.size()) {
    end = text.find(separator, begin);
    documents.push_back(text.substr(begin, end == text.npos ? end : end - begin));
  }
  return documents;
}

TEST(RealText, IdsOfGpt2AreThoseOfTiktoken) {
  const auto folder = gpt2_folder();
  if (!folder) GTEST_SKIP() << "no gpt2-bpe in ALMA_DATA";
  const Vocabulary vocabulary = read_vocabulary(*folder);
  BpeEncoder encoder(vocabulary);
  int files = 0;
  for (const auto& [name, expected] : golden()["files"].items()) {
    const auto text = real_text(name);
    if (!text) continue;
    std::vector<std::int32_t> ids;
    for (const std::string& document : documents_of(*text)) {
      const std::size_t before = ids.size();
      encoder.encode(document, ids);
      ASSERT_EQ(decode(vocabulary, std::span(ids).subspan(before)), document);
    }
    EXPECT_EQ(ids.size(), expected["tokens"].get<std::size_t>()) << name;
    EXPECT_EQ(sha256({reinterpret_cast<const std::uint8_t*>(ids.data()), ids.size() * sizeof ids[0]}), expected["sha256"])
        << name;
    ++files;
  }
  if (files == 0) GTEST_SKIP() << "no texts in ALMA_DATA";
}

TEST(RealText, Gpt2HasItsPublishedSizes) {
  const auto folder = gpt2_folder();
  if (!folder) GTEST_SKIP() << "no gpt2-bpe in ALMA_DATA";
  const Vocabulary vocabulary = read_vocabulary(*folder);
  EXPECT_EQ(vocabulary.size(), 50257);
  EXPECT_EQ(vocabulary.merges().size(), 50000u);
  EXPECT_EQ(vocabulary.special(kEndOfText), 50256);
  for (std::int32_t id = 0; id < vocabulary.size(); ++id)
    ASSERT_EQ(vocabulary.is_special(id), id == 50256) << "ids 0..255 are bytes, and each merge makes a token";
}

}  // namespace
}  // namespace alma::test
