// A language model as its users meet it: from a text by `alma tokenize` to records, evaluation and report.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "tests/alma/learn/text_corpus.h"
#include "tests/alma/program.h"
#include "tests/data/files.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;

class CliText : public testing::Test {
 protected:
  Outcome run(const std::vector<std::string>& arguments) const { return run_alma(folder_.path(), arguments); }
  fs::path file(const std::string& name) const { return fs::path(folder_.path()) / name; }
  void write_run(const std::string& tokens) const {
    std::ofstream(file("run.toml")) << write_config(small_text_config(tokens));
  }

  TemporaryFolder folder_;
};

TEST_F(CliText, FromATextToAReport) {
  RandomStream random(1, "sentences");
  const std::vector<std::string> words = {"the", "sea", "and", "a", "ship", "of", "old", "men", "sail", "on"};
  std::ofstream text(file("books.txt"));
  for (int book = 0; book < 20; ++book) {
    for (int i = 0; i < 150; ++i) text << words[random.below(10)] << (i % 12 == 11 ? ".\n" : " ");
    text << "\n<end>\n";
  }
  text.close();
  ASSERT_EQ(run({"tokenize", "books.txt", "--train", "280", "--out", "vocab", "--quiet"}).code, 0);
  const Outcome shards = run({"tokenize", "books.txt", "--vocab", "vocab", "--out", "tokens", "--documents", "separator",
                              "--separator", "<end>", "--quiet"});
  ASSERT_EQ(shards.code, 0) << shards.err;
  write_run("tokens");
  const Outcome trained = run({"run", "run.toml", "--out", "runs/a", "--device", "cpu"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  for (const char* part : {"samples, each of 16 tokens of a vocabulary of 280", "training samples, whole documents",
                           "test perplexity", "mean perplexity", "final perplexity", "bits per byte"})
    EXPECT_NE(trained.out.find(part), std::string::npos) << part << "\n" << trained.out;
  EXPECT_EQ(trained.out.find("CER"), std::string::npos) << trained.out;

  const auto result = nlohmann::json::parse(read_text(file("runs/a/result.json")).value());
  ASSERT_EQ(result.at("ppl").size(), 4u);
  EXPECT_FALSE(result.contains("cer"));
  double bits = 0;
  std::ifstream metrics(file("runs/a/metrics.jsonl"));
  for (std::string line; std::getline(metrics, line);) bits += nlohmann::json::parse(line).at("bits_per_byte").get<double>();
  EXPECT_NEAR(result.at("bits_per_byte").get<double>(), bits / 4, 1e-9);

  const Outcome tested = run({"eval", "runs/a", "--device", "cpu"});
  ASSERT_EQ(tested.code, 0) << tested.err;
  char expected[64];
  std::snprintf(expected, sizeof expected, "test part of tokens: perplexity %.3f, ", result.at("ppl").back().get<double>());
  EXPECT_EQ(tested.out.rfind(expected, 0), 0u) << tested.out << expected;
  expect_failure(run({"predict", "runs/a", "books.txt", "--device", "cpu"}), 2, {"images", "is of text"});

  ASSERT_EQ(run({"report", "runs", "-o", "report.html", "--csv", "runs.csv"}).code, 0);
  EXPECT_NE(read_text(file("runs.csv")).value().find(result.at("bits_per_byte").dump()), std::string::npos);
  EXPECT_NE(read_text(file("report.html")).value().find("\"bits\":[" + result.at("bits_per_byte").dump()),
            std::string::npos);
}

TEST_F(CliText, OtherTokensThanBeforeAreNoticed) {
  write_chains(file("tokens"), 30, 60);
  write_run("tokens");
  ASSERT_EQ(run({"run", "run.toml", "--out", "a", "--device", "cpu", "--quiet"}).code, 0);
  write_chains(file("others"), 30, 60, 2);
  for (const char* extension : {".bin", ".idx", ".json"})
    fs::rename(file(std::string("others-00000") + extension), file(std::string("tokens-00000") + extension));
  fs::remove(file("a/result.json"));
  expect_failure(run({"run", "--resume", "--out", "a", "--device", "cpu"}), 3, {"data set text has changed"});
}

}  // namespace
}  // namespace alma::test
