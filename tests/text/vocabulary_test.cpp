#include "text/vocabulary.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/files.h"
#include "tests/data/files.h"
#include "tests/text/golden.h"
#include "text/byte_alphabet.h"

namespace alma::test {
namespace {

using nlohmann::json;

/// What the files of a vocabulary say.
struct Content {
  json tokens;
  std::vector<std::string> merges;
};

/// The bytes, the tokens "ab", " a" and " ab" with the ids 256 to 258, and a special token.
Content small_content() {
  Content content;
  for (const unsigned char byte : bytes_by_character())
    content.tokens[to_characters(std::string(1, static_cast<char>(byte)))] = content.tokens.size();
  content.merges = {"Ġ a", "a b", "Ġa b"};
  for (const char* token : {"ab", "Ġa", "Ġab", "<|endoftext|>"}) content.tokens[token] = content.tokens.size();
  return content;
}

std::string text_of(const std::vector<std::string>& merges) {
  std::string text = "#version: 0.2\n";
  for (const std::string& merge : merges) text += merge + "\n";
  return text;
}

/// As Hugging Face writes it.
json tokenizer_of(const Content& content) {
  const json special = {{"id", content.tokens["<|endoftext|>"]}, {"content", "<|endoftext|>"}, {"special", true}};
  return {{"version", "1.0"},
          {"added_tokens", {special}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
          {"model", {{"type", "BPE"}, {"dropout", nullptr}, {"vocab", content.tokens}, {"merges", content.merges}}}};
}

class VocabularyFiles : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    return folder_.write(name, Bytes(text.begin(), text.end()));
  }
  void write_pair(const std::string& tokens, const std::string& merges) const {
    write("pair/encoder.json", tokens);
    write("pair/vocab.bpe", merges);
  }
  void expect_refused(const Content& content, const std::vector<std::string>& parts) const {
    write_pair(content.tokens.dump(), text_of(content.merges));
    expect_error(ErrorKind::data, parts, [this] { read_vocabulary(folder_ / "pair"); });
  }
  void expect_tokenizer_refused(const json& tokenizer, const std::vector<std::string>& parts) const {
    const std::string path = write("tokenizer.json", tokenizer.dump());
    expect_error(ErrorKind::data, parts, [&] { read_vocabulary(path); });
  }

  TemporaryFolder folder_;
};

TEST_F(VocabularyFiles, BothKindsGiveTheSame) {
  const Content content = small_content();
  write_pair(content.tokens.dump(), text_of(content.merges));
  json tokenizer = tokenizer_of(content);
  write("one/tokenizer.json", tokenizer.dump());
  tokenizer["model"]["merges"] = json::array(
      {json::array({"Ġ", "a"}), json::array({"a", "b"}), json::array({"Ġa", "b"})});  // Hugging Face's form since 2024
  tokenizer["model"].erase("type");                                                   // and that of GPT-2's published file
  const std::string newer = write("newer.json", tokenizer.dump());
  tokenizer["model"]["vocab"].erase("<|endoftext|>");  // which added_tokens has
  const std::string added = write("added.json", tokenizer.dump());

  const Vocabulary pair = read_vocabulary(folder_ / "pair");
  EXPECT_EQ(pair.size(), 260);
  EXPECT_EQ(pair.token(258), " ab");
  EXPECT_EQ(pair.special(kEndOfText), 259);
  EXPECT_EQ(encoded(pair, "ab ab abab\n"), (std::vector<std::int32_t>{256, 258, 258, 256, 198}));
  for (const std::string& path : {folder_ / "one", folder_ / "one/tokenizer.json", newer, added})
    EXPECT_EQ(read_vocabulary(path).hash(), pair.hash()) << path;
}

TEST_F(VocabularyFiles, AreReadAsTheyWereWritten) {
  const Vocabulary& vocabulary = small_vocabulary();
  write_vocabulary(vocabulary, folder_ / "new/folder");
  const Vocabulary again = read_vocabulary(folder_ / "new/folder");
  EXPECT_EQ(again.hash(), vocabulary.hash());
  EXPECT_EQ(merge_lines(again), merge_lines(vocabulary));
  const std::string tokens = read_text(folder_ / "new/folder/encoder.json").value();
  EXPECT_EQ(tokens.substr(0, 28), R"({"!": 0, "\"": 1, "#": 2, "$)");
  EXPECT_NE(tokens.find(R"("\u0120the": )"), std::string::npos) << "in ASCII, as GPT-2's";
  write_vocabulary(again, folder_ / "new/folder");  // over what is there
  EXPECT_EQ(read_text(folder_ / "new/folder/encoder.json"), tokens);
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "new/folder"))
    EXPECT_FALSE(is_temporary(entry.path()));
}

TEST_F(VocabularyFiles, OfGpt2AreWrittenAsTheyWerePublished) {
  const auto gpt2 = gpt2_folder();
  if (!gpt2) GTEST_SKIP() << "no gpt2-bpe in ALMA_DATA";
  write_vocabulary(read_vocabulary(*gpt2), folder_ / "copy");
  for (const char* name : {"/encoder.json", "/vocab.bpe"})
    EXPECT_EQ(read_text(folder_.path() + "/copy" + name), read_text(*gpt2 + name)) << name;
}

TEST_F(VocabularyFiles, SpecialTokensMayBeOfOtherCharacters) {
  Content content = small_content();
  content.tokens["<s p a c e>"] = 260;
  content.tokens["<｜begin▁of▁sentence｜>"] = 261;
  write_pair(content.tokens.dump(), text_of(content.merges));
  const Vocabulary vocabulary = read_vocabulary(folder_ / "pair");
  EXPECT_EQ(vocabulary.special("<s p a c e>"), 260);
  EXPECT_EQ(vocabulary.special("<｜begin▁of▁sentence｜>"), 261);
  write_vocabulary(vocabulary, folder_ / "again");
  EXPECT_EQ(read_vocabulary(folder_ / "again").hash(), vocabulary.hash());
}

TEST_F(VocabularyFiles, WrongTokensAreNamed) {
  Content content = small_content();
  content.tokens["ab"] = 999;
  expect_refused(content, {"pair", "\"ab\" has the id 999", "0 .. 259"});
  content.tokens["ab"] = 257;
  expect_refused(content, {"pair", "id 257 is there twice"});
  content.tokens["ab"] = -1;
  expect_refused(content, {"encoder.json", "the id of \"ab\" is -1"});
  content.tokens["ab"] = "256";
  expect_refused(content, {"encoder.json", "the id of \"ab\" is \"256\""});
  content.tokens["ab"] = 256.5;
  expect_refused(content, {"encoder.json", "the id of \"ab\" is 256.5"});

  content = small_content();
  content.tokens.erase("A");
  content.tokens["other"] = 32;
  expect_refused(content, {"pair", "byte 65 has no token"});
  content = small_content();
  content.tokens[" "] = 260;
  expect_refused(content, {"pair", "tokens 220 and 260 are the same byte"});
  content = small_content();
  content.tokens[""] = 260;
  expect_refused(content, {"pair", "token 260 is empty"});
  content = small_content();
  content.tokens["<x y>"] = 260;
  content.tokens["<xĠy>"] = 261;
  expect_refused(content, {"pair", "tokens 260 and 261 are the same, \"<x y>\""});
}

TEST_F(VocabularyFiles, WrongMergesAreNamed) {
  Content content = small_content();
  content.merges.push_back("a c");
  expect_refused(content, {"vocab.bpe", "merge 3 has \"ac\", which is not among the tokens"});
  for (const char* line : {"ab", "a  b", "a b c", ""}) {
    content.merges.back() = line;
    expect_refused(content, {"vocab.bpe", "line 5 is \"" + std::string(line) + "\"", "two tokens"});
  }
  content.merges.back() = "a b\r";
  expect_refused(content, {"vocab.bpe", "merge 3 has \"b\r\""});
  content.merges.back() = "a \xff";
  expect_refused(content, {"vocab.bpe", "merge 3 has \"\\xFF\""});
  content.merges.back() = "a b";
  expect_refused(content, {"pair", "merge 3 of tokens 64 and 65 is there twice; the first is merge 1"});
}

TEST_F(VocabularyFiles, DamagedFilesAreNamed) {
  const Content content = small_content();
  const std::string tokens = content.tokens.dump(), merges = text_of(content.merges);
  const auto expect = [&](const std::string& first, const std::string& second, const std::vector<std::string>& parts) {
    write_pair(first, second);
    expect_error(ErrorKind::data, parts, [this] { read_vocabulary(folder_ / "pair"); });
  };
  expect("", merges, {"encoder.json", "not JSON"});
  expect(tokens.substr(0, 500), merges, {"encoder.json", "not JSON"});
  expect("[1, 2]", merges, {"encoder.json", "no tokens"});
  expect("{}", merges, {"encoder.json", "no tokens"});
  expect("{\"a\": 0, \"a\": 1}", merges, {"encoder.json", "\"a\" is there twice"});
  expect("{\"\xff\": 0}", merges, {"encoder.json", "not JSON"});
  expect(tokens, "", {"vocab.bpe", "begins with \"\"", "#version"});
  expect(tokens, merges.substr(14), {"vocab.bpe", "begins with \"Ġ a", "#version"});
  expect(tokens, merges.substr(0, merges.size() - 1), {"vocab.bpe", "line 4 has no end", "truncated"});
  expect(tokens, "#version: 0.2", {"vocab.bpe", "line 1 has no end"});
}

TEST_F(VocabularyFiles, MissingFilesAreNamed) {
  expect_error(ErrorKind::data, {"nowhere", "no such file", "encoder.json and vocab.bpe"},
               [this] { read_vocabulary(folder_ / "nowhere"); });
  expect_error(ErrorKind::data, {"encoder.json", "no such file"}, [this] { read_vocabulary(folder_.path()); });
  write("encoder.json", small_content().tokens.dump());
  expect_error(ErrorKind::data, {"vocab.bpe", "no such file"}, [this] { read_vocabulary(folder_.path()); });
  std::filesystem::create_directory(folder_ / "vocab.bpe");
  expect_error(ErrorKind::data, {"vocab.bpe", "folder"}, [this] { read_vocabulary(folder_.path()); });
}

TEST_F(VocabularyFiles, OtherTokenizersAreRefusedByWhatTheyAre) {
  const json good = tokenizer_of(small_content());
  const auto with = [&](const char* pointer, const json& value) {
    json changed = good;
    changed[json::json_pointer(pointer)] = value;
    return changed;
  };
  expect_tokenizer_refused(with("/model/type", "WordPiece"), {"tokenizer.json", "its model is \"WordPiece\""});
  expect_tokenizer_refused(with("/model/type", "Unigram"), {"its model is \"Unigram\""});
  expect_tokenizer_refused(with("/model/ignore_merges", true), {"ignore_merges = true"});
  expect_tokenizer_refused(with("/model/byte_fallback", true), {"byte_fallback = true"});
  expect_tokenizer_refused(with("/model/dropout", 0.1), {"dropout = 0.1"});
  expect_tokenizer_refused(with("/model/end_of_word_suffix", "</w>"), {"end_of_word_suffix = \"</w>\""});
  expect_tokenizer_refused(with("/normalizer", {{"type", "NFC"}}), {"normalizer", "NFC"});
  expect_tokenizer_refused(with("/pre_tokenizer", nullptr), {"its pre_tokenizer is null"});
  expect_tokenizer_refused(with("/pre_tokenizer", {{"type", "Sequence"}}), {"its pre_tokenizer is \"Sequence\""});
  expect_tokenizer_refused(with("/pre_tokenizer/add_prefix_space", true), {"add_prefix_space = true"});
  expect_tokenizer_refused(with("/pre_tokenizer/use_regex", false), {"use_regex"});
  expect_tokenizer_refused(with("/added_tokens/0/special", false), {"added token \"<|endoftext|>\" is not special"});
  expect_tokenizer_refused(with("/added_tokens/0/id", 3), {"the id of \"<|endoftext|>\" is 259 in the model and 3"});
  expect_tokenizer_refused(with("/added_tokens", 3), {"added_tokens is no array"});
  expect_tokenizer_refused(with("/model/merges/1", 7), {"a merge is 7"});
  expect_tokenizer_refused(with("/model/merges/1", {"Ġ", "a", "b"}), {"a merge is [\"Ġ\",\"a\",\"b\"]"});
  expect_tokenizer_refused(with("/model/merges", "x"), {"merges is no array"});
  expect_tokenizer_refused(with("/model", 1), {"its model is no object"});
  expect_tokenizer_refused({{"modell", 1}}, {"key 'model' not found"});
  for (const auto& harmless : {with("/model/continuing_subword_prefix", ""), with("/model/byte_fallback", false)})
    EXPECT_EQ(read_vocabulary(write("tokenizer.json", harmless.dump())).size(), 260);
}

TEST(ByteAlphabet, IsThatOfGpt2) {
  EXPECT_EQ(to_characters(" \n\t!a~\x7f\x80\xa0\xa1\xac\xad\xae\xff" + std::string(1, '\0')), "ĠĊĉ!a~ġĢł¡¬Ń®ÿĀ");
  std::string all;
  for (const unsigned char byte : bytes_by_character()) all += static_cast<char>(byte);
  EXPECT_EQ(from_characters(to_characters(all)), all);
  for (const char* none : {" ", "\n", "ń", "日", "\xc4", "\xff", "\xad", "a\xc2\xad", "\x7f"})
    EXPECT_EQ(from_characters(none), std::nullopt) << none;
}

}  // namespace
}  // namespace alma::test
