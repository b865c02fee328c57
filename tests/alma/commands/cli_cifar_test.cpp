// CIFAR-10 and its network through the program: a few images of the official layout.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "alma/run/checkpoint.h"
#include "base/files.h"
#include "base/random.h"
#include "tests/alma/learn/training.h"
#include "tests/alma/program.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;

class CliCifar : public testing::Test {
 protected:
  CliCifar() {
    RandomStream random(3, "cifar");
    for (const char* name : {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}) {
      Bytes file;
      for (int record = 0; record < 40; ++record) {
        const auto label = static_cast<std::uint8_t>(record % 10);
        file.push_back(label);  // and a colour of its own, so that there is something to learn
        const int levels[] = {label % 3, label / 3 % 3, label / 9};
        for (int p = 0; p < 3072; ++p)
          file.push_back(static_cast<std::uint8_t>(levels[p / 1024] * 80 + static_cast<int>(random.below(60))));
      }
      folder_.write(std::string("data/cifar10/cifar-10-batches-bin/") + name + ".bin", file);
    }
  }
  Outcome run(std::vector<std::string> arguments) const { return run_alma(folder_.path(), arguments); }
  Outcome train(const std::string& config, std::vector<std::string> extra, const std::string& device = "cpu") const {
    std::vector<std::string> arguments = {"run",
                                          ALMA_SOURCE_DIR "/alma/configs/" + config,
                                          "--device",
                                          device,
                                          "--quiet",
                                          "--set",
                                          "stream.mega_batches=2",
                                          "--set",
                                          "learner.wait=1",
                                          "--set",
                                          "train.max_epochs=20"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return run(arguments);
  }
  nlohmann::json result(const std::string& out) const {
    return nlohmann::json::parse(read_text(folder_ / (out + "/result.json")).value());
  }

  TemporaryFolder folder_;
  ScopedVariable data_{"ALMA_DATA", folder_ / "data"};
};

TEST_F(CliCifar, EveryConfigurationOfThePaperLearns) {
  for (const char* config : {"cifar10-sm.toml", "cifar10-ens4.toml", "cifar10-umix2.toml", "cifar10-gens.toml"}) {
    const std::string out = fs::path(config).stem();
    const Outcome outcome =
        train(config, {"--threads", "2", "--set", "model.width=8", "--set", "train.batch_size=16", "--out", out});
    ASSERT_EQ(outcome.code, 0) << config << outcome.err;
    EXPECT_LT(result(out).at("final_error"), 0.75) << config << ", chance is 0.9";
  }
  const Outcome mixture =
      train("cifar10-sm.toml", {"--set", "model.experts=2", "--set", "train.nesterov=true", "--out", "mixture"});
  ASSERT_EQ(mixture.code, 0) << mixture.err;
  EXPECT_EQ(result("mixture").at("mem"), 2 * 5'214);
}

TEST_F(CliCifar, EvalAndPredictUseWhatWasTrained) {
  ASSERT_EQ(train("cifar10-sm.toml", {"--out", "run"}).code, 0);
  char expected[32];
  std::snprintf(expected, sizeof expected, "error %.4f", result("run").at("final_error").get<double>());
  const Outcome evaluated = run({"eval", "run", "--device", "cpu"});
  EXPECT_NE(evaluated.out.find(expected), evaluated.out.npos) << evaluated.out << expected;
  // The classes that predict names are wrong as often as eval says.
  const Outcome predicted = run({"predict", "run", "--device", "cpu", "data/cifar10/cifar-10-batches-bin/test_batch.bin"});
  ASSERT_EQ(predicted.code, 0) << predicted.err;
  std::istringstream lines(predicted.out);
  std::string line;
  std::getline(lines, line);
  int images = 0, wrong = 0;
  for (std::string file; lines >> file; ++images) {
    int image, label;
    double probability;
    lines >> image >> label >> probability;
    EXPECT_EQ(image, images);
    wrong += label != images % 10;
  }
  EXPECT_EQ(images, 40);
  EXPECT_NEAR(wrong / 40.0, result("run").at("final_error").get<double>(), 1e-9);
}

TEST_F(CliCifar, ResumesToTheSameBits) {
  ASSERT_EQ(train("cifar10-ens4.toml", {"--threads", "2", "--out", "whole"}).code, 0);
  std::vector<std::string> start = {"run", ALMA_SOURCE_DIR "/alma/configs/cifar10-ens4.toml", "--device", "cpu", "--quiet"};
  for (const char* set : {"stream.mega_batches=2", "learner.wait=1", "train.max_epochs=20", "train.checkpoint_seconds=0.01"})
    start.insert(start.end(), {"--set", set});
  start.insert(start.end(), {"--threads", "1", "--out", "parts"});
  RandomStream moments(5, "kills");
  int kills = 0;
  for (int attempt = 0; attempt < 12; ++attempt) {
    const bool resumes = fs::exists(folder_ / "parts/config.toml");
    if (!resumes) fs::remove_all(folder_ / "parts");
    Program program(folder_.path(), resumes ? std::vector<std::string>{"run", "--resume", "--device", "cpu", "--quiet",
                                                                       "--threads", "1", "--out", "parts"}
                                            : start);
    if (!program.wait_until([&] { return fs::exists(folder_ / "parts/config.toml"); })) {
      FAIL() << program.finish().err;
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(attempt == 0 ? 0 : moments.uniform(0, 0.5)));
    program.signal(SIGKILL);
    kills += program.finish().code == -SIGKILL;
  }
  EXPECT_GT(kills, 0);
  const Outcome end = run({"run", "--resume", "--device", "cpu", "--quiet", "--threads", "1", "--out", "parts"});
  ASSERT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(result("parts").at("cer"), result("whole").at("cer"));
  Context context("cpu");
  EXPECT_EQ(bits(CheckpointStore(folder_ / "parts/checkpoint").load(context).tensors),
            bits(CheckpointStore(folder_ / "whole/checkpoint").load(context).tensors));
}

TEST_F(CliCifar, WhatDoesNotFitIsRefusedBeforeTraining) {
  const auto refused = [&](std::vector<std::string> extra, int code, const std::vector<std::string>& parts) {
    extra.insert(extra.end(), {"--out", "run"});
    expect_failure(train("cifar10-sm.toml", extra), code, parts);
    EXPECT_FALSE(fs::exists(folder_ / "run"));
  };
  refused({"--set", "stream.dataset=synthetic-images"}, 2, {"vgg19", "takes images of 32 x 32", "found 1 x 28 x 28"});
  refused({"--set", "learner.members=0"}, 2, {"learner.members = 0 is out of range"});
  folder_.write("data/cifar10/cifar-10-batches-bin/test_batch.bin", Bytes(3073, 11));
  refused({}, 3, {"test_batch.bin", "record 0 has label 11"});
  fs::remove(folder_ / "data/cifar10/cifar-10-batches-bin/test_batch.bin");
  refused({}, 3, {"cifar10: incomplete", "lacks test_batch.bin"});
}

// Four members as one stacked model: what they cost does not change.
TEST_F(CliCifar, AnEnsembleInTheSimulatorCostsWhatItDoesOnTheCpu) {
  if (!open_simulator()) GTEST_SKIP() << no_simulator;
  const auto trained = [&](const std::string& device, const char* experts) {
    const std::string out = device + experts;
    const Outcome outcome = train("cifar10-ens4.toml",
                                  {"--threads", "2", "--set", "train.batch_size=32", "--set", "train.max_epochs=1", "--set",
                                   std::string("model.experts=") + experts, "--out", out},
                                  device);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return result(out);
  };
  for (const char* experts : {"1", "2"}) {
    const nlohmann::json simulated = trained("cuda-sim", experts), expected = trained("cpu", experts);
    EXPECT_EQ(simulated.at("device"), "cuda-sim");
    for (const char* what : {"mem", "comp_macs", "comp_flops"}) EXPECT_EQ(simulated.at(what), expected.at(what)) << what;
  }
}

}  // namespace
}  // namespace alma::test
