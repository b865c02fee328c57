#include "text/shard.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "tests/data/files.h"
#include "tests/text/corpus.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;

class Shards : public testing::Test {
 protected:
  ShardSettings settings(std::int64_t vocabulary_size = 100, std::int64_t shard_tokens = kMostShardTokens) const {
    ShardSettings all;
    all.prefix = folder_ / "corpus/c";
    all.vocabulary = vocabulary(vocabulary_size);
    all.shard_tokens = shard_tokens;
    return all;
  }
  fs::path file(const std::string& extension, std::int64_t shard = 0) const {
    return shard_path(folder_ / "corpus/c", shard, extension);
  }
  std::string content(const std::string& extension) const { return read_text(file(extension)).value(); }
  void write(const std::string& extension, const std::string& text) const {
    std::ofstream(file(extension), std::ios::binary) << text;
  }
  /// Changes one text of the manifest.
  void edit_manifest(const std::string& from, const std::string& to) const {
    std::string text = content(".json");
    const std::size_t at = text.find(from);
    ASSERT_NE(at, text.npos) << from;
    write(".json", text.replace(at, from.size(), to));
  }
  /// Puts a value into the index, and its checksum into the manifest.
  template <class Value>
  void edit_index(std::size_t at, Value value) const {
    std::string index = content(".idx");
    const std::string before = sha256(index);
    index.replace(at, sizeof value, reinterpret_cast<const char*>(&value), sizeof value);
    write(".idx", index);
    edit_manifest(before, sha256(index));
  }
  void expect_refused(const std::vector<std::string>& parts) const {
    expect_error(ErrorKind::data, parts, [&] { TokenShard(file(".json")).verify(); });
  }

  TemporaryFolder folder_;
};

std::vector<Tokens> with_separators(std::vector<Tokens> all, std::int32_t separator) {
  for (Tokens& tokens : all) tokens.push_back(separator);
  return all;
}

std::vector<Tokens> read_all(const TokenCorpus& corpus) {
  std::vector<Tokens> all;
  for (std::int64_t i = 0; i < corpus.documents(); ++i) {
    all.emplace_back(static_cast<std::size_t>(corpus.document_tokens(i)));
    corpus.read(i, 0, all.back());
  }
  return all;
}

TEST_F(Shards, HoldTheDocumentsInOrder) {
  for (const std::int64_t size : {100, 65499, 65500, 200000}) {
    fs::remove_all(folder_ / "corpus");
    const auto all = documents(300, 60, size);
    const auto expected = with_separators(all, static_cast<std::int32_t>(size - 1));
    const std::int64_t most = 1000;
    const auto manifests = write_corpus(settings(size, most), all);
    const TokenCorpus corpus(settings().prefix);
    EXPECT_EQ(read_all(corpus), expected);
    EXPECT_EQ(std::ssize(manifests), std::ssize(corpus.shards()));
    EXPECT_GT(std::ssize(manifests), 8);
    std::int64_t tokens = 0, text_bytes = 0;
    for (const Tokens& document : all) tokens += std::ssize(document) + 1, text_bytes += 3 * std::ssize(document);
    EXPECT_EQ(corpus.tokens(), tokens);
    EXPECT_EQ(corpus.text_bytes(), text_bytes);
    std::int64_t next = 0;
    for (const TokenShard& shard : corpus.shards()) {
      shard.verify();
      EXPECT_LE(shard.tokens(), most);
      EXPECT_EQ(fs::file_size(file(".bin", shard.manifest().shard)),
                static_cast<std::size_t>(shard.tokens() * (size < 65500 ? 2 : 4)));
      next += shard.documents();
      if (next < corpus.documents()) {
        EXPECT_GT(shard.tokens() + corpus.document_tokens(next), most);  // it did not fit
      }
    }
    EXPECT_EQ(corpus.shards()[0].manifest().sources[0].path, "a \\xFF.txt");
    EXPECT_EQ(corpus.shards()[0].manifest().sources[1].sha256, std::string(64, '2'));
  }
}

TEST_F(Shards, NothingElseIsLeft) {
  write_corpus(settings(100, 500), documents(50, 60));
  for (const auto& entry : fs::directory_iterator(folder_ / "corpus")) {
    const std::string name = entry.path().extension();
    EXPECT_TRUE(name == ".bin" || name == ".idx" || name == ".json" || entry.path().filename() == "c.lock") << entry.path();
  }
}

/// What the script prints; nothing if what it needs is not installed.
std::optional<std::vector<std::vector<Tokens>>> read_by_python(const std::string& how,
                                                               const std::vector<fs::path>& manifests) {
  for (const std::string python : {"python3", "/usr/bin/python3"}) {
    std::string command = python + " " ALMA_SOURCE_DIR "/tests/text/read_shards.py " + how;
    for (fs::path path : manifests) command += " " + path.replace_extension(".bin").string();
    std::FILE* out = ::popen(command.c_str(), "r");
    std::string text;
    for (int c; (c = std::fgetc(out)) != EOF;) text += static_cast<char>(c);
    const int status = ::pclose(out);
    if (WEXITSTATUS(status) == 77) continue;
    EXPECT_EQ(status, 0);
    return nlohmann::json::parse(text).get<std::vector<std::vector<Tokens>>>();
  }
  return std::nullopt;
}

void expect_same(const std::vector<std::vector<Tokens>>& shards, const std::vector<Tokens>& expected) {
  std::vector<Tokens> joined;
  for (const auto& shard : shards) joined.insert(joined.end(), shard.begin(), shard.end());
  EXPECT_EQ(joined, expected);
}

TEST_F(Shards, AnIndependentReaderOfMegatronsPairFindsTheSame) {
  for (const std::int64_t size : {100, 70000}) {
    fs::remove_all(folder_ / "corpus");
    const auto all = documents(200, 60, size);
    const auto found = read_by_python("megatron", write_corpus(settings(size, 2000), all));
    ASSERT_TRUE(found);
    expect_same(*found, with_separators(all, static_cast<std::int32_t>(size - 1)));
  }
}

TEST_F(Shards, NumpyMapsTheTokens) {
  for (const std::int64_t size : {100, 70000}) {
    fs::remove_all(folder_ / "corpus");
    const auto all = documents(200, 60, size);
    const auto found = read_by_python("numpy", write_corpus(settings(size, 2000), all));
    if (!found) GTEST_SKIP() << "python3-numpy is not installed; setup.sh --dev installs it";
    expect_same(*found, with_separators(all, static_cast<std::int32_t>(size - 1)));
  }
}

TEST_F(Shards, LlmcsLayoutIsWrittenForOthers) {
  const auto all = documents(200, 60, 65536);
  ShardSettings wanted = settings(65536, 2000);
  wanted.layout = ShardLayout::llmc;
  const auto manifests = write_corpus(wanted, all);
  EXPECT_FALSE(fs::exists(file(".idx")));
  const auto found = read_by_python("llmc", manifests);
  ASSERT_TRUE(found);
  expect_same(*found, with_separators(all, 65535));
  expect_refused({"llm.c's layout"});
  wanted.vocabulary = vocabulary(65537);
  expect_error(ErrorKind::usage, {"65537 entries"}, [&] { ShardWriter(wanted, false); });
}

TEST_F(Shards, ADocumentThatIsTooLongIsAnError) {
  ShardWriter writer(settings(100, 50), false);
  writer.append(Tokens(30, 1));
  writer.end_document(1);
  writer.append(Tokens(49, 1));
  writer.end_document(1);  // with its separator it has 50
  expect_error(ErrorKind::data, {"document 2", "more than 50 tokens", "divide the text"}, [&] {
    writer.append(Tokens(30, 1));
    writer.append(Tokens(21, 1));
  });
}

TEST_F(Shards, WrongUseOfTheWriter) {
  expect_error(ErrorKind::usage, {"shard of 0 tokens"}, [&] { ShardWriter(settings(100, 0), false); });
  {
    ShardWriter writer(settings(), false);
    expect_error(ErrorKind::usage, {"another process is writing"}, [&] { ShardWriter(settings(), true); });
    expect_error(ErrorKind::failed, {"the id 100 is beyond the vocabulary of 100"}, [&] { writer.append(Tokens{3, 100}); });
    expect_error(ErrorKind::failed, {"the id -1"}, [&] { writer.append(Tokens{-1}); });
    expect_error(ErrorKind::data, {"no document"}, [&] { writer.finish({}); });
    writer.append(Tokens{1});
    expect_error(ErrorKind::failed, {"no end"}, [&] { writer.finish({}); });
  }
  expect_error(ErrorKind::usage, {"progress.json exists", "resume"}, [&] { ShardWriter(settings(), false); });
  expect_error(ErrorKind::usage, {"another vocabulary"}, [&] { ShardWriter(settings(101), true); });
  expect_error(ErrorKind::usage, {"size of shards"}, [&] { ShardWriter(settings(100, 10), true); });
}

TEST_F(Shards, AWholeCorpusIsNotWrittenAgain) {
  const auto all = documents(50, 60);
  write_corpus(settings(), all);
  EXPECT_TRUE(ShardWriter(settings(), true).complete());
  expect_error(ErrorKind::usage, {"c-00000.json exists"}, [&] { ShardWriter(settings(), false); });
  expect_error(ErrorKind::usage, {"another vocabulary"}, [&] { ShardWriter(settings(101), true); });
  write(".json", "{}");
  expect_error(ErrorKind::data, {file(".json"), "key 'format' not found"}, [&] { ShardWriter(settings(), true); });
  fs::remove(file(".json"));  // tokens of somebody else
  expect_error(ErrorKind::usage, {"c-00000.bin exists"}, [&] { ShardWriter(settings(), true); });
}

TEST_F(Shards, AMissingOrUnfinishedCorpusIsNamed) {
  expect_refused({file(".json"), "no such file"});
  write_corpus(settings(100, 500), documents(50, 60));
  fs::remove(file(".json", 1));
  expect_error(ErrorKind::data, {file(".json", 1), "the corpus is unfinished"}, [&] { TokenCorpus(settings().prefix); });
  fs::remove(file(".bin"));
  expect_refused({file(".bin"), "no such file"});
}

TEST_F(Shards, AShardOfAnotherCorpusIsNamed) {
  const auto all = documents(50, 60);
  write_corpus(settings(100, 500), all);
  for (const char* extension : {".json", ".idx", ".bin"})
    fs::copy_file(file(extension, 2), file(extension, 1), fs::copy_options::overwrite_existing);
  expect_error(ErrorKind::data, {file(".json", 1), "another corpus: number 2 of"}, [&] { TokenCorpus(settings().prefix); });
  const TokenCorpus alone(file(".json", 2));
  EXPECT_EQ(alone.documents(), alone.shards()[0].documents());
  alone.require_vocabulary(std::string(64, 'a'));
  expect_error(ErrorKind::data, {"tokens of another vocabulary", std::string(64, 'b')},
               [&] { alone.require_vocabulary(std::string(64, 'b')); });
}

TEST_F(Shards, SizesThatAreWrong) {
  write_corpus(settings(), documents(50, 60));
  const std::string bin = content(".bin"), index = content(".idx");
  write(".bin", bin.substr(0, bin.size() - 1));
  expect_refused({file(".bin"), "truncated", std::to_string(bin.size() - 1)});
  write(".bin", bin + "x");
  expect_refused({file(".bin"), "too long"});
  write(".bin", bin);
  write(".idx", index.substr(0, 40));
  expect_refused({file(".idx"), "truncated"});
  write(".idx", index + "x");
  expect_refused({file(".idx"), "too long"});
}

TEST_F(Shards, EveryByteOfTheIndexIsChecked) {
  write_corpus(settings(), documents(5, 60));
  const std::string index = content(".idx");
  for (std::size_t at = 0; at < index.size(); ++at) {
    std::string damaged = index;
    damaged[at] ^= 0x10;
    write(".idx", damaged);
    expect_refused({file(".idx")});
  }
}

TEST_F(Shards, DamageOfTheIndexIsNamed) {
  write_corpus(settings(), documents(5, 60));
  const std::string manifest = content(".json"), index = content(".idx");
  const auto restore = [&] {
    write(".json", manifest);
    write(".idx", index);
  };
  edit_index(0, 'N');
  expect_refused({"not an index of Megatron's"});
  restore();
  edit_index(9, std::uint64_t{2});
  expect_refused({"version"});
  restore();
  edit_index(17, std::uint8_t{4});
  expect_refused({"type of the ids"});
  restore();
  edit_index(34, std::int32_t{0});
  expect_refused({"document 0 has 0 tokens"});
  restore();
  edit_index(34 + 4, std::int32_t{0x7fffffff});
  expect_refused({"document 1 has 2147483647 tokens"});
  restore();
  edit_index(34 + 5 * 4 + 8, std::int64_t{1} << 31);
  expect_refused({"the offset of document 1 is 2147483648"});
  restore();
  edit_index(34 + 5 * 12 + 8, std::int64_t{3});
  expect_refused({"the first sequence of document 1 is 3, expected 1"});
}

TEST_F(Shards, DamagedTokensAreFound) {
  write_corpus(settings(), documents(50, 60));
  const std::string bin = content(".bin"), manifest = content(".json");
  std::string damaged = bin;
  damaged[1] = 1;  // the id becomes at least 256
  write(".bin", damaged);
  Tokens one(1);
  const TokenShard shard(file(".json"));
  expect_error(ErrorKind::data, {file(".bin"), "is beyond the vocabulary of 100"}, [&] { shard.read(0, one); });
  shard.read(1, one);
  damaged = bin;
  damaged[0] ^= 1;
  write(".bin", damaged);
  expect_refused({file(".bin"), "checksum mismatch"});
  damaged = bin;
  damaged[damaged.size() - 2] = 3;
  write(".bin", damaged);
  expect_refused({file(".bin"), "ends with the id 3, expected the separator 99"});
}

TEST_F(Shards, AShardThatChangesWhileItIsReadIsAnErrorAndNoSignal) {
  write_corpus(settings(), documents(500, 600));
  const TokenShard shard(file(".json"));
  Tokens some(513);
  shard.read(0, some);
  fs::resize_file(file(".bin"), 1000);
  expect_error(ErrorKind::data, {file(".bin"), "shrank while it was in use", "1000 bytes"}, [&] { shard.read(0, some); });
  fs::resize_file(file(".bin"), static_cast<std::size_t>(2 * shard.tokens() + 2));
  expect_error(ErrorKind::data, {"grew while it was in use"}, [&] { shard.read(0, some); });
}

TEST_F(Shards, ManifestsOfOthers) {
  write_corpus(settings(), documents(5, 60));
  const std::string manifest = content(".json");
  const std::vector<std::pair<std::string, std::vector<std::pair<std::string, std::string>>>> cases = {
      {"not JSON", {{"{", "["}}},
      {"it does not describe token shards", {{"alma tokens", "other"}}},
      {"version is 2", {{"\"version\": 1", "\"version\": 2"}}},
      {"tokens is 3000000000", {{"\"tokens\": ", "\"tokens\": 3000000000, \"x\": "}}},
      {"documents is", {{"\"documents\": 5", "\"documents\": 500000"}}},
      {"separator is 100", {{"\"separator\": 99", "\"separator\": 100"}}},
      {"size is 0", {{"\"size\": 100", "\"size\": 0"}}},
      {"sha256 is \"aA", {{"\"aaaa", "\"aAaa"}}},
      {"layout is \"zip\"", {{"megatron", "zip"}}},
      {"shard is 1", {{"\"shard\": 0", "\"shard\": 1"}}},
  };
  for (const auto& [message, edits] : cases) {
    write(".json", manifest);
    for (const auto& [from, to] : edits) edit_manifest(from, to);
    expect_refused({file(".json"), message});
  }
}

// Sparse files: nine shards of 2^28 tokens each, whose ids are all 0.
TEST_F(Shards, PositionsBeyondTwoToThe31) {
  const std::int64_t shards = 9, length = kMostShardTokens / 4;
  for (std::int64_t k = 0; k < shards; ++k) {
    ShardManifest manifest;
    manifest.vocabulary = vocabulary(70000);
    manifest.shard = k, manifest.shards = shards;
    std::string index(kIndexMagic, sizeof kIndexMagic);
    const auto add = [&index](auto value) { index.append(reinterpret_cast<const char*>(&value), sizeof value); };
    add(std::int64_t{1}), add('\4'), add(std::int64_t{4}), add(std::int64_t{5});
    for (int i = 0; i < 4; ++i) add(static_cast<std::int32_t>(length));
    for (std::int64_t i = 0; i < 4; ++i) add(i * length * 4);
    for (std::int64_t i = 0; i < 5; ++i) add(i);
    manifest.content = {4 * length, 4, 0, std::string(64, '0'), sha256(index)};
    fs::create_directories(folder_ / "corpus");
    std::ofstream(file(".json", k)) << to_json_text(manifest);
    std::ofstream(file(".idx", k), std::ios::binary) << index;
    const std::int32_t last = 69999;
    std::ofstream bin(file(".bin", k), std::ios::binary);
    bin.seekp(16 * length - 4);
    bin.write(reinterpret_cast<const char*>(&last), 4);
  }
  const TokenCorpus corpus(settings().prefix);
  EXPECT_EQ(corpus.tokens(), 9 * kMostShardTokens);
  EXPECT_GT(corpus.tokens(), std::int64_t{1} << 31);
  Tokens ids(2);
  corpus.read(35, length - 2, ids);
  EXPECT_EQ(ids, (Tokens{0, 69999}));
}

}  // namespace
}  // namespace alma::test
