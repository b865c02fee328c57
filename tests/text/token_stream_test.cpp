#include "text/token_stream.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <thread>

#include "base/permutation.h"
#include "tests/data/files.h"
#include "tests/text/corpus.h"

namespace alma::test {
namespace {

std::vector<std::int64_t> lengths(std::int64_t count, std::uint32_t longest, std::uint64_t seed = 3) {
  RandomStream random(seed, "lengths");
  std::vector<std::int64_t> all(static_cast<std::size_t>(count));
  for (std::int64_t& length : all) length = random.below(longest) + 1;
  return all;
}

std::vector<std::int32_t> training_documents(const TokenStream& stream) {
  std::vector<std::int32_t> all;
  for (std::int64_t t = 0; t < stream.size(); ++t)
    all.insert(all.end(), stream[t].documents.begin(), stream[t].documents.end());
  return all;
}

TEST(TokenStream, EachDocumentIsInOnePart) {
  RandomStream random(5, "streams");
  for (int round = 0; round < 200; ++round) {
    const auto all = lengths(random.below(60) + 3, 1 + random.below(1000), random.bits());
    TokenStreamSettings settings{
        .validation = random.uniform(0, 0.4), .test = random.uniform(0, 0.4), .seed = random.bits()};
    settings.mega_batches = 1;
    const std::int64_t training = std::ssize(training_documents({all, settings}));
    settings.mega_batches = 1 + random.below(static_cast<std::uint32_t>(training));
    const TokenStream stream(all, settings);
    ASSERT_EQ(stream.size(), settings.mega_batches);
    std::vector<std::int32_t> found;
    const auto take = [&](const TokenPart& part) {
      EXPECT_FALSE(part.documents.empty());
      std::int64_t tokens = 0;
      for (const std::int32_t document : part.documents) tokens += all[static_cast<std::size_t>(document)];
      EXPECT_EQ(part.tokens, tokens);
      found.insert(found.end(), part.documents.begin(), part.documents.end());
    };
    take(stream.validation());
    take(stream.test());
    for (std::int64_t t = 0; t < stream.size(); ++t) take(stream[t]);
    std::sort(found.begin(), found.end());
    std::vector<std::int32_t> every(all.size());
    std::iota(every.begin(), every.end(), 0);
    EXPECT_EQ(found, every);
  }
}

TEST(TokenStream, WhichPartADocumentIsInDoesNotDependOnB) {
  const auto all = lengths(500, 1000);
  const TokenStream one(all, {.mega_batches = 1, .validation = 0.1, .test = 0.2, .seed = 7});
  for (const std::int64_t mega_batches : {2, 3, 50, 300}) {
    const TokenStream other(all, {.mega_batches = mega_batches, .validation = 0.1, .test = 0.2, .seed = 7});
    EXPECT_EQ(other.validation().documents, one.validation().documents);
    EXPECT_EQ(other.test().documents, one.test().documents);
    EXPECT_EQ(training_documents(other), training_documents(one));
  }
  const TokenStream without(all, {.mega_batches = 1, .validation = 0, .test = 0.2, .seed = 7});
  EXPECT_EQ(without.test().documents, one.test().documents);
  EXPECT_TRUE(without.validation().documents.empty());
  const TokenStream reseeded(all, {.mega_batches = 1, .validation = 0.1, .test = 0.2, .seed = 8});
  EXPECT_NE(reseeded.test().documents, one.test().documents);
}

TEST(TokenStream, SizesAreAsEqualAsDocumentEndsAllow) {
  for (const std::uint32_t longest : {1u, 10u, 100000u}) {
    const auto all = lengths(3000, longest);
    const std::int64_t tokens = std::accumulate(all.begin(), all.end(), std::int64_t{0});
    const TokenStream stream(all, {.mega_batches = 17, .validation = 0.1, .test = 0.05});
    EXPECT_NEAR(static_cast<double>(stream.test().tokens), 0.05 * static_cast<double>(tokens), longest / 2.0 + 1);
    EXPECT_NEAR(static_cast<double>(stream.validation().tokens), 0.1 * static_cast<double>(tokens), longest + 1);
    const std::int64_t training = tokens - stream.test().tokens - stream.validation().tokens;
    // Every cut is the document end that is nearest to its ideal place.
    const auto order = training_documents(stream);
    std::vector<std::int64_t> ends(1, 0);
    for (const std::int32_t document : order) ends.push_back(ends.back() + all[static_cast<std::size_t>(document)]);
    std::int64_t cut = 0;
    for (std::int64_t t = 0; t < stream.size(); ++t) {
      cut += stream[t].tokens;
      const std::int64_t ideal = training * (t + 1) / 17;
      for (const std::int64_t end : ends) EXPECT_GE(std::abs(end - ideal), std::abs(cut - ideal));
    }
  }
}

TEST(TokenStream, ALongDocumentLeavesOneForEveryMegaBatch) {
  const std::vector<std::int64_t> all = {1, 1000000, 1, 1, 1};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const TokenStream stream(all, {.mega_batches = 5, .seed = seed});
    for (std::int64_t t = 0; t < 5; ++t) EXPECT_EQ(stream[t].documents.size(), 1u);
  }
}

TEST(TokenStream, SettingsThatCannotBe) {
  const auto all = lengths(10, 100);
  const auto expect_usage = [&](const std::string& part, const TokenStreamSettings& settings) {
    expect_error(ErrorKind::usage, {part}, [&] { TokenStream(all, settings); });
  };
  expect_usage("stream.mega_batches = 0: expected 1 .. 10", {.mega_batches = 0});
  expect_usage("stream.mega_batches = 11: expected 1 .. 10", {.mega_batches = 11});
  expect_usage("stream.validation = -0.1", {.validation = -0.1});
  expect_usage("stream.test = 1", {.test = 1});
  expect_usage("stream.validation = 0.5, stream.test = 0.5", {.validation = 0.5, .test = 0.5});
  expect_usage("stream.validation = nan", {.validation = std::nan("")});
  const std::vector<std::int64_t> two = {5, 5};
  expect_error(ErrorKind::usage, {"2 documents is too small"}, [&] { TokenStream(two, {.validation = 0.1, .test = 0.1}); });
  const TokenStream stream(two, {.validation = 0.999});
  EXPECT_EQ(stream[0].tokens, 5);
}

class Windows : public testing::Test {
 protected:
  void SetUp() override {
    ShardSettings settings;
    settings.prefix = folder_ / "c";
    settings.vocabulary = vocabulary(100000);
    settings.shard_tokens = 700;
    std::int32_t next = 0;  // every token is another one
    for (Tokens tokens : documents(60, 80)) {
      for (std::int32_t& id : tokens) id = next++;
      all_.push_back(tokens);
    }
    write_corpus(settings, all_);
    corpus_.emplace(folder_ / "c");
    ASSERT_GT(corpus_->shards().size(), 2u);
  }

  TemporaryFolder folder_;
  std::vector<Tokens> all_;
  std::optional<TokenCorpus> corpus_;
};

TEST_F(Windows, EachTokenIsATargetOnceWhateverTheSequence) {
  const TokenStream stream(*corpus_, {.mega_batches = 7, .validation = 0.2, .seed = 1});
  for (const std::int64_t sequence : {1, 2, 5, 16, 64, 333, 100000}) {
    Tokens targets, expected;
    std::vector<TokenPart> parts;
    for (std::int64_t t = 0; t < stream.size(); ++t) {
      parts.push_back(stream[t]);
      for (const std::int32_t document : stream[t].documents) {
        const Tokens& tokens = all_[static_cast<std::size_t>(document)];
        expected.insert(expected.end(), tokens.begin(), tokens.end());
        expected.push_back(99999);
      }
    }
    const TokenWindows windows(*corpus_, parts, sequence);
    EXPECT_EQ(windows.targets(), std::ssize(expected));
    std::set<std::int64_t> visited;
    std::int32_t last = 0;
    const KeyedPermutation order(windows.count(), 11, "windows", 3);
    for (std::int64_t i = 0; i < windows.count(); ++i) {
      visited.insert(order(i));
      Tokens ids(static_cast<std::size_t>(sequence + 1));
      const std::int64_t count = windows.read(i, ids);
      ASSERT_TRUE(count >= 1 && count <= sequence);
      EXPECT_EQ(ids[0], i == 0 ? 99999 : last);  // a part begins with a separator, and the one before it ends with one
      targets.insert(targets.end(), ids.begin() + 1, ids.begin() + 1 + count);
      EXPECT_TRUE(std::all_of(ids.begin() + 1 + count, ids.end(), [](std::int32_t id) { return id == 99999; }));
      last = targets.back();
    }
    EXPECT_EQ(targets, expected);  // in order, and so each once
    EXPECT_EQ(std::ssize(visited), windows.count());
  }
}

TEST_F(Windows, TheNextOneBeginsAtTheLastTokenOfTheOneBefore) {
  const TokenWindows windows(*corpus_, {all_documents(*corpus_)}, 32);
  Tokens before(33), ids(33);
  windows.read(0, before);
  EXPECT_EQ(before[0], 99999);
  for (std::int64_t i = 1; i < windows.count(); ++i, before = ids) {
    windows.read(i, ids);
    EXPECT_EQ(ids[0], before[32]);
  }
}

TEST_F(Windows, ReadersInAnyNumberOfThreadsFindTheSame) {
  const TokenWindows windows(*corpus_, {all_documents(*corpus_)}, 16);
  std::vector<Tokens> expected(static_cast<std::size_t>(windows.count()), Tokens(17));
  for (std::size_t i = 0; i < expected.size(); ++i) windows.read(static_cast<std::int64_t>(i), expected[i]);
  const TokenCorpus again(folder_ / "c");
  const TokenWindows others(again, {all_documents(again)}, 16);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (std::size_t thread = 0; thread < 4; ++thread)
    threads.emplace_back([&, thread] {
      const KeyedPermutation order(windows.count(), thread, "windows");
      Tokens ids(17);
      for (std::int64_t i = 0; i < windows.count(); ++i) {
        (thread % 2 ? windows : others).read(order(i), ids);
        wrong[thread] += ids != expected[static_cast<std::size_t>(order(i))];
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST_F(Windows, WrongUse) {
  expect_error(ErrorKind::usage, {"stream.sequence = 0"}, [&] { TokenWindows(*corpus_, {}, 0); });
  TokenPart part = all_documents(*corpus_);
  --part.tokens;
  expect_error(ErrorKind::failed, {"it is of another corpus"}, [&] { TokenWindows(*corpus_, {part}, 8); });
  const TokenWindows none(*corpus_, {}, 8);
  EXPECT_EQ(none.count(), 0);
  Tokens ids(9);
  expect_error(ErrorKind::failed, {"window 0 of 0"}, [&] { none.read(0, ids); });
}

}  // namespace
}  // namespace alma::test
