// bench/ngram as its users meet it: the figures are those of the models, of exactly the tokens that were asked for.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "base/files.h"
#include "tests/data/files.h"
#include "tests/text/corpus.h"
#include "text/ngram.h"
#include "text/token_stream.h"

namespace alma::test {
namespace {

class NGramProgram : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"train", "valid"}) {
      ShardSettings settings;
      settings.prefix = folder_ / name;
      settings.vocabulary = vocabulary(30);
      write_corpus(settings, documents(80, 100, 30, name[0]));
    }
  }
  int run(const std::string& arguments) const {
    const std::string command = ALMA_BINARY_DIR "/ngram " + arguments + " > " + (folder_ / "out.txt") + " 2>&1";
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string output() const { return read_text(folder_ / "out.txt").value_or(""); }
  std::string training() const { return folder_ / "train "; }

  TemporaryFolder folder_;
};

Tokens tokens_of(const TokenCorpus& corpus, const TokenPart& part) {
  Tokens all;
  for (const std::int32_t document : part.documents) {
    const auto before = all.size();
    all.resize(before + static_cast<std::size_t>(corpus.document_tokens(document)));
    corpus.read(document, 0, std::span(all).subspan(before));
  }
  return all;
}

std::string row(const char* name, const TokenLoss& loss) {
  char text[80];
  std::snprintf(text, sizeof text, "%-22s %9.2f %8.4f", name, loss.perplexity(), loss.nats_per_token());
  return text;
}

template <class Model>
TokenLoss loss_of(Model model, const std::vector<Tokens>& runs, Tokens judged) {
  for (const Tokens& run : runs) model.add(run);
  model.fit();
  judged.insert(judged.begin(), 29);  // the separator
  return judge(model, judged, 1);
}

TEST_F(NGramProgram, FitsOnTheMegaBatchesThatHaveArrived) {
  const TokenCorpus corpus(folder_ / "train");
  const TokenStream stream(corpus, {.mega_batches = 5, .validation = 0.2, .test = 0.1, .seed = 3});
  ASSERT_EQ(run(training() + "--mega-batches 5 --arrived 2 --validation 0.2 --test 0.1 --seed 3 --order 3"), 0) << output();
  const std::vector<Tokens> runs = {tokens_of(corpus, stream[0]), tokens_of(corpus, stream[1])};
  const Tokens judged = tokens_of(corpus, stream.validation());
  const std::string head = "fitted on " + std::to_string(runs[0].size() + runs[1].size()) + " tokens, judged on " +
                           std::to_string(judged.size()) + " ";
  EXPECT_EQ(output().substr(0, head.size()), head);
  for (const std::string& expected : {row("interpolated bigram", loss_of(InterpolatedBigram(30), runs, judged)),
                                      row("Kneser-Ney, order 2", loss_of(KneserNey(2, 30), runs, judged)),
                                      row("Kneser-Ney, order 3", loss_of(KneserNey(3, 30), runs, judged))})
    EXPECT_NE(output().find(expected), std::string::npos) << expected << "\nin\n" << output();
  EXPECT_EQ(output().find("order 4"), std::string::npos);
}

TEST_F(NGramProgram, DrawsWindowsAndJudgesAnotherCorpus) {
  ASSERT_EQ(run(training() + "--judge " + (folder_ / "valid") + " --judge-tokens 500 --tokens 1024 --sequence 16"), 0)
      << output();
  EXPECT_NE(output().find("judged on 500 "), std::string::npos) << output();
  EXPECT_NE(output().find("Kneser-Ney, order 5"), std::string::npos);
}

TEST_F(NGramProgram, ErrorsHaveExitCodes) {
  EXPECT_EQ(run(folder_ / "none"), 3);
  EXPECT_EQ(run("--order 9 " + training()), 2);
  EXPECT_EQ(run(training()), 2);
  EXPECT_NE(output().find("no tokens to judge on"), std::string::npos) << output();
  EXPECT_EQ(run(training() + "--validation 0.1 --arrived 2"), 2);
  EXPECT_EQ(run(training() + "--validation 0.1 --tokens 99999999"), 2);
  EXPECT_NE(output().find("--tokens 99999999: expected 128 .. "), std::string::npos) << output();
}

}  // namespace
}  // namespace alma::test
