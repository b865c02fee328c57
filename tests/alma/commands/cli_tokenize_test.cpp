// `alma tokenize` as its users meet it: vocabularies, ids, shards, messages.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>

#include "base/files.h"
#include "base/random.h"
#include "tests/alma/program.h"
#include "tests/data/files.h"
#include "text/shard.h"
#include "text/vocabulary.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;

const std::string kText =
    "It was the best of times, it was the worst of times.\nCaf\xc3\xa9 na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87 "
    "\xf0\x9f\x99\x82\n";

/// Lines of words, by a closed stream.
std::string words(std::int64_t lines, std::uint64_t seed) {
  RandomStream random(seed, "words of a test");
  std::string text;
  for (std::int64_t line = 0; line < lines; ++line) {
    for (int word = 0; word < 12; ++word) {
      if (word > 0) text += ' ';
      for (std::uint32_t letters = 1 + random.below(9); letters > 0; --letters)
        text += static_cast<char>('a' + random.below(26));
    }
    text += '\n';
  }
  return text;
}

std::map<std::string, std::string> files_in(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::directory_iterator(folder)) all[entry.path().filename()] = read_text(entry.path()).value();
  return all;
}

class CliTokenize : public testing::Test {
 protected:
  CliTokenize() {
    write("words.txt", kText + words(200, 1));
    const Outcome trained = tokenize({"words.txt", "--train", "300", "--out", "vocab", "--quiet"});
    EXPECT_EQ(trained.code, 0) << trained.err;
    EXPECT_EQ(trained.out + trained.err, "");
  }
  void write(const std::string& name, const std::string& text) const {
    folder_.write(name, Bytes(text.begin(), text.end()));
  }
  Outcome tokenize(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "tokenize");
    return run_alma(folder_.path(), arguments);
  }
  Outcome shards(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--vocab", "vocab"});
    return tokenize(std::move(arguments));
  }
  /// The text of each document of a corpus.
  std::vector<std::string> documents(const std::string& prefix) const {
    const Vocabulary vocabulary = read_vocabulary(folder_ / "vocab");
    const TokenCorpus corpus(folder_ / prefix);
    corpus.require_vocabulary(vocabulary.hash());
    std::vector<std::string> all;
    for (std::int64_t i = 0; i < corpus.documents(); ++i) {
      std::vector<std::int32_t> ids(static_cast<std::size_t>(corpus.document_tokens(i)));
      corpus.read(i, 0, ids);
      EXPECT_EQ(ids.back(), vocabulary.special(kEndOfText));
      ids.pop_back();
      all.push_back(decode(vocabulary, ids));
    }
    return all;
  }

  const TemporaryFolder folder_;
};

TEST_F(CliTokenize, PrintsIdsAndTheirText) {
  write("a.txt", kText);
  const Outcome ids = shards({"--ids", "a.txt"});
  ASSERT_EQ(ids.code, 0) << ids.err;
  EXPECT_EQ(ids.out.find_first_not_of("0123456789 \n"), ids.out.npos) << ids.out;
  EXPECT_LT(std::ranges::count(ids.out, ' '), std::ssize(kText) - 1);  // something was merged
  write("ids.txt", ids.out);
  const Outcome text = shards({"--decode", "ids.txt"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(text.out, kText);
  write("wrong.txt", "1 2 three");
  expect_failure(shards({"--decode", "wrong.txt"}), 3, {"wrong.txt", "\"three\" is no id"});
  write("beyond.txt", "1 300");
  expect_failure(shards({"--decode", "beyond.txt"}), 3, {"300"});
}

TEST_F(CliTokenize, SaysWhatAVocabularyWasMadeOf) {
  write("a.txt", "one two");
  const Outcome outcome = tokenize({"a.txt", "--train", "258", "--out", "small"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err.rfind("1 document, 7 bytes in ", 0), 0U) << outcome.err;
  EXPECT_NE(outcome.err.find("; 2 different words\n"), outcome.err.npos) << outcome.err;
  EXPECT_EQ(outcome.out.rfind("small: 258 entries, ", 0), 0U) << outcome.out;
}

TEST_F(CliTokenize, WritesTheDocumentsOfEachRule) {
  write("books/b.txt", "second");
  write("books/a.txt", "first\n\n\nparagraph");
  write("books/more/c.txt", "third <|endoftext|>\n<|endoftext|>\nfourth");
  write("web.jsonl", "{\"text\": \"one\\ntwo\", \"url\": 1}\n{\"text\": \"three\"}\n");
  using List = std::vector<std::string>;
  const auto made = [&](const std::string& prefix, List arguments) {
    arguments.insert(arguments.end(), {"--out", prefix});
    const Outcome outcome = shards(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, prefix + "-00000.json\n");
    EXPECT_NE(outcome.err.find(" bytes per token) in "), outcome.err.npos) << outcome.err;
    return documents(prefix);
  };
  EXPECT_EQ(made("files", {"books"}),
            (List{"first\n\n\nparagraph", "second", "third <|endoftext|>\n<|endoftext|>\nfourth"}));
  EXPECT_EQ(made("blank", {"books/a.txt", "--documents", "blank-lines"}), (List{"first\n", "paragraph"}));
  EXPECT_EQ(made("separated", {"books/more", "--separator", "<|endoftext|>"}), (List{"third <|endoftext|>\n", "fourth"}));
  EXPECT_EQ(made("records", {"web.jsonl"}), (List{"one\ntwo", "three"}));
}

TEST_F(CliTokenize, TheShardsDoNotDependOnTheThreads) {
  for (int i = 0; i < 40; ++i)
    write("text/" + std::to_string(i), words(i == 3 ? 60000 : 300, static_cast<std::uint64_t>(i)));
  for (const char* threads : {"1", "2", "7"}) {
    const Outcome outcome =
        shards({"text", "--out", std::string("t") + threads + "/c", "--threads", threads, "--shard-tokens", "4200000"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(files_in(folder_ / ("t" + std::string(threads))), files_in(folder_ / "t1")) << threads;
  }
  EXPECT_GT(files_in(folder_ / "t1").size(), 3U);
  EXPECT_EQ(documents("t1/c").at(23).size() > (4U << 20), true);  // longer than a piece
}

TEST_F(CliTokenize, NamesThePlaceOfInvalidBytesAndKeepsWhatCameBefore) {
  write("bad.txt", "good one\n---\nit costs 5\xff euro\n---\nlast");
  const std::vector<std::string> command = {"bad.txt", "--separator", "---", "--out", "bad/c"};
  expect_failure(shards(command), 3, {"bad.txt, byte 23: not valid UTF-8", "\\xFF before \" euro", "--invalid replace"});
  EXPECT_TRUE(fs::exists(folder_ / "bad/c.progress.json"));
  auto more = command;
  more.insert(more.end(), {"--resume", "--invalid", "replace"});
  const Outcome outcome = shards(more);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(documents("bad/c"), (std::vector<std::string>{"good one\n", "it costs 5\xef\xbf\xbd euro\n", "last"}));
  const Outcome again = shards(more);
  EXPECT_EQ(again.code, 0);
  EXPECT_NE(again.out.find("bad/c is complete already"), again.out.npos) << again.out;
  expect_failure(shards(command), 2, {"bad/c-00000.json exists"});
}

TEST_F(CliTokenize, WrongUseIsExplained) {
  expect_failure(tokenize({"words.txt", "--out", "c"}), 2, {"--vocab DIR is missing", "--train N"});
  expect_failure(shards({"words.txt"}), 2, {"--out PREFIX is missing"});
  expect_failure(shards({"--out", "c"}), 2, {"no text was given"});
  expect_failure(shards({"words.txt", "--ids", "words.txt"}), 2, {"words.txt", "take one FILE"});
  expect_failure(shards({"--ids", "a", "--decode", "b"}), 2, {"expected one of them"});
  expect_failure(shards({"words.txt", "--train", "300", "--out", "v"}), 2, {"--vocab does not go with it"});
  expect_failure(tokenize({"words.txt", "--train", "300", "--out", "vocab"}), 2, {"vocab/encoder.json exists"});
  expect_failure(tokenize({"words.txt", "--train", "30", "--out", "v"}), 2, {"--train", "257"});
  expect_failure(shards({"words.txt", "--out", "c", "--documents", "separator"}), 2, {"Expected --separator LINE"});
  expect_failure(shards({"words.txt", "--out", "c", "--documents", "file", "--field", "body"}), 2,
                 {"--field goes with --documents record"});
  expect_failure(shards({"none.txt", "--out", "c"}), 3, {"none.txt"});
  expect_failure(tokenize({"words.txt", "--vocab", "none", "--out", "c"}), 3, {"none"});
  EXPECT_FALSE(fs::exists(folder_ / "c-00000.json"));
}

TEST_F(CliTokenize, AChangedTextIsNotContinued) {
  write("text.txt", "one\n---\ntwo\n---\nthree\xff");
  std::vector<std::string> command = {"text.txt", "--separator", "---", "--out", "c"};
  EXPECT_EQ(shards(command).code, 3);
  write("text.txt", "one\n---\ntwo and more\n---\nthree");
  command.push_back("--resume");
  expect_failure(shards(command), 3, {"not the one that the unfinished corpus was begun with", "2 documents"});
}

// By signals that let it save and by one that does not, at random moments of its work.
TEST_F(CliTokenize, StoppedAtTwentyRandomMomentsEndsInTheSameBytes) {
  for (int i = 0; i < 60; ++i) write("text/" + std::to_string(i), words(2000, static_cast<std::uint64_t>(i)));
  const std::vector<std::string> rest = {"--vocab", "vocab", "--threads", "2", "--shard-tokens", "500000", "--quiet"};
  const auto command = [&](const std::string& out, bool resume) {
    std::vector<std::string> all = {"tokenize", "text", "--out", out};
    all.insert(all.end(), rest.begin(), rest.end());
    if (resume) all.push_back("--resume");
    return all;
  };
  ASSERT_EQ(run_alma(folder_.path(), command("straight/c", false)).code, 0);
  RandomStream random(1, "moments");
  int stopped = 0;
  for (int i = 0; i < 20; ++i) {
    Program program(folder_.path(), command("stopped/c", true));
    const auto moments = random.below(60);
    for (std::uint32_t moment = 0; moment < moments; ++moment) ::usleep(1000);
    program.signal(i % 3 == 0 ? SIGKILL : SIGINT);
    const int code = program.finish().code;
    EXPECT_TRUE(code == 130 || code == -SIGKILL || code == -SIGINT || code == 0) << code;  // -SIGINT: before it listens
    stopped += code != 0;
  }
  EXPECT_GT(stopped, 0);
  ASSERT_EQ(run_alma(folder_.path(), command("stopped/c", true)).code, 0);
  EXPECT_EQ(files_in(folder_ / "stopped"), files_in(folder_ / "straight"));
}

}  // namespace
}  // namespace alma::test
