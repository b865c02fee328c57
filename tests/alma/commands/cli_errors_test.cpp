#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "alma/config/config.h"
#include "alma/run/run_directory.h"
#include "tests/alma/program.h"
#include "tests/data/files.h"

namespace alma {
namespace {

namespace fs = std::filesystem;
using test::expect_failure;
using test::Outcome;
using test::run_alma;
using test::small_run;

class Cli : public testing::Test {
 protected:
  Outcome run(const std::vector<std::string>& arguments) const { return run_alma(folder_.path(), arguments); }
  Outcome run_with(std::vector<std::string> extra) const { return run(small_run(folder_.path(), std::move(extra))); }
  /// A run that fails before it starts leaves no folder behind.
  void expect_no_run() const { EXPECT_FALSE(fs::exists(folder_ / "runs")); }

  test::TemporaryFolder folder_;
};

TEST_F(Cli, MisuseOfTheCommandLine) {
  expect_failure(run({"rnu"}), 2, {"unknown command rnu", "did you mean run?"});
  expect_failure(run({"--nonsense"}), 2, {"--help"});
  expect_failure(run({"run"}), 2, {"no configuration was given", "alma run CONFIG.toml"});
  expect_failure(run_with({"--nonsense"}), 2, {"--nonsense"});
  expect_failure(run_with({"--threads", "0"}), 2, {"--threads"});
  expect_failure(run_with({"--threads", "many"}), 2, {"--threads"});
  expect_failure(run_with({"--seed", "x"}), 2, {"--seed"});
  expect_failure(run_with({"--seed", "-1"}), 2, {"seed = -1", "out of range"});
  expect_failure(run_with({"--resume"}), 2, {"--resume", "--out"});
  expect_failure(run({"eval"}), 2, {"CHECKPOINT"});
  expect_failure(run({"data", "verify"}), 2, {"NAME"});
  expect_failure(run({"data", "verify", "nothing"}), 2, {"nothing", "fashion-mnist"});
  expect_no_run();
}

TEST_F(Cli, HelpInEverySpelling) {
  const auto helps = [&](const std::vector<std::string>& arguments, const std::string& part) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    EXPECT_NE(outcome.out.find(part), std::string::npos) << outcome.out;
    return outcome.out;
  };
  const std::string all = helps({"--help"}, "Usage: alma");
  EXPECT_EQ(helps({}, "sweep"), all);
  EXPECT_EQ(helps({"help"}, "reproduce"), all);
  EXPECT_EQ(helps({"help", "sweep"}, "--dry-run"), helps({"sweep", "--help"}, "SWEEP"));
  EXPECT_EQ(helps({"help", "data", "fetch"}, "--mirror"), helps({"data", "fetch", "--help"}, "NAME"));
  expect_failure(run({"help", "swep"}), 2, {"unknown command swep", "did you mean sweep?"});
}

TEST_F(Cli, WrongConfigurations) {
  expect_failure(run({"run", "none.toml"}), 2, {"none.toml", "No such file"});
  expect_failure(run_with({"--set", "stream.mega_batch=3"}), 2, {"unknown key stream.mega_batch", "stream.mega_batches?"});
  expect_failure(run_with({"--set", "stream.mega_batches=many"}), 2, {"must be an integer, found the string \"many\""});
  expect_failure(run_with({"--set", "train.lr=-1"}), 2, {"train.lr = -1", "out of range"});
  expect_failure(run_with({"--set", "model.width=100000000"}), 2, {"model.width", "out of range"});
  expect_failure(run_with({"--set", "learner.wait=7"}), 2, {"learner.wait = 7", "stream.mega_batches = 6"});
  expect_failure(run_with({"--set", "train.math=tf32"}), 2, {"not available", "f32"});
  expect_failure(run_with({"--set", "learner.method=smm"}), 2, {"not known", "sm"});
  expect_failure(run_with({"--set", "learner.wait"}), 2, {"section.key=value"});
  std::ofstream(folder_ / "broken.toml") << "[stream\n";
  expect_failure(run({"run", "broken.toml"}), 2, {"broken.toml:1:", "not valid TOML"});
  expect_no_run();
}

TEST_F(Cli, LanguageModelsThatAreReportedAndNotTrained) {
  const std::vector<std::string> refusal = {"learner.method = \"gmoe\" can be neither trained nor evaluated on text",
                                            "expected sm | ens |", "alma report DIR"};
  const std::vector<std::string> text = {"--set", "stream.dataset=text",
                                         "--set", "model.architecture=switch",
                                         "--set", "model.heads=2",
                                         "--set", "learner.method=gmoe",
                                         "--out", "run"};
  expect_failure(run_with(text), 2, refusal);
  EXPECT_FALSE(fs::exists(folder_ / "run"));
  expect_failure(run_with({"--set", "stream.dataset=text"}), 2, {"model.architecture = \"mlp\" does not go with"});
  expect_failure(run_with({"--set", "stream.dataset=text", "--set", "model.architecture=switch", "--set", "model.heads=2"}),
                 2, {"stream.tokens is not set", "alma tokenize"});
  std::ofstream(folder_ / "sweep.toml") << "[set]\nlearner.method = \"gmoe\"\n[axes]\nseed = [0, 1]\n[[zip]]\n"
                                           "stream.dataset = [\"synthetic-images\", \"text\"]\n"
                                           "model.architecture = [\"mlp\", \"switch\"]\n";
  expect_failure(run({"sweep", "sweep.toml", "--device", "cpu"}), 2, refusal);
  expect_failure(run({"sweep", "sweep.toml", "--dry-run", "--device", "cpu"}), 2, refusal);
  expect_no_run();
  // A run directory that another program, or a later version, has made.
  const Config config =
      parse_config("stream.dataset = \"text\"\nmodel.architecture = \"switch\"\nlearner.method = \"gmoe\"", "x");
  { RunDirectory(folder_ / "language", config, OpenMode::create); }
  expect_failure(run({"eval", "language", "--device", "cpu"}), 2, refusal);
  expect_failure(run({"predict", "language", "file", "--device", "cpu"}), 2, refusal);
  expect_failure(run({"run", "--resume", "--out", "language", "--device", "cpu"}), 2, refusal);
  EXPECT_FALSE(fs::exists(folder_ / "language/result.json"));
  EXPECT_EQ(run({"run", "--print-config", "--set", "stream.dataset=text", "--set", "model.architecture=switch"}).code, 0);
}

TEST_F(Cli, MoreMegaBatchesThanSamples) {
  expect_failure(run_with({"--set", "stream.mega_batches=601"}), 2, {"stream.mega_batches"});
  expect_no_run();
}

TEST_F(Cli, UnknownDevices) {
  expect_failure(run_with({"--set", "train.graph=true"}), 2,
                 {"train.graph = true needs --device cuda or cuda-sim", "found cpu"});
  for (const char* device : {"gpu", "cpu:x86-64-v9", ""}) expect_failure(run_with({"--device", device}), 2, {"device"});
  expect_no_run();
}

TEST_F(Cli, MissingAndDamagedData) {
  const test::ScopedVariable data("ALMA_DATA", folder_ / "nowhere"), cache("XDG_CACHE_HOME", folder_ / "cache");
  std::ofstream(folder_ / "idx.toml") << "[stream]\ndataset = \"idx\"\ntrain_images = \"a\"\ntrain_labels = \"b\"\n"
                                         "test_images = \"c\"\ntest_labels = \"d\"\n";
  expect_failure(run({"run", "idx.toml", "--device", "cpu"}), 3, {"a: "});
  for (const char* name : {"a", "b", "c", "d"}) std::ofstream(folder_ / name) << "this is no IDX file";
  expect_failure(run({"run", "idx.toml", "--device", "cpu"}), 3, {"a: "});
  expect_no_run();
  if (fs::exists("/usr/share/datasets/mnist") || fs::exists("/usr/local/share/datasets/mnist")) return;
  expect_failure(run_with({"--set", "stream.dataset=mnist"}), 3, {"mnist", "nowhere", "alma data fetch mnist", "ALMA_DATA"});
  expect_failure(run({"data", "verify", "mnist"}), 3, {"mnist", "missing or damaged", "alma data fetch mnist"});
  expect_no_run();
}

TEST_F(Cli, AnOutputFolderThatCannotBeUsed) {
  fs::create_directory(folder_ / "taken");
  std::ofstream(folder_ / "taken/letter") << "x";
  expect_failure(run_with({"--out", "taken"}), 2, {"taken", "exists already", "other files"});
  std::ofstream(folder_ / "file") << "x";
  expect_failure(run_with({"--out", "file/run"}), 2, {"file/run", "Not a directory"});
  expect_failure(run_with({"--out", "taken", "--resume"}), 2, {"taken", "is not a run directory"});
  expect_failure(run({"run", "--out", "nowhere", "--resume"}), 2, {"nowhere", "is not a run directory"});
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "taken"), fs::directory_iterator()), 1);
}

TEST_F(Cli, ResumeWithAnotherConfiguration) {
  const std::vector<std::string> arguments = small_run(folder_.path());
  { RunDirectory(folder_ / "run", load_config(arguments[1]), OpenMode::create); }
  expect_failure(run_with({"--out", "run", "--resume", "--set", "model.width=5"}), 2,
                 {"another configuration", "model.width is 4 in its config.toml, 5 was given"});
  expect_failure(run_with({"--out", "run", "--resume", "--seed", "3"}), 2, {"seed is 0 in its config.toml, 3 was given"});
}

TEST_F(Cli, ASecondWriter) {
  const std::vector<std::string> arguments = small_run(folder_.path());
  RunDirectory writer(folder_ / "run", load_config(arguments[1]), OpenMode::create);
  expect_failure(run_with({"--out", "run", "--resume"}), 2, {"is in use by", "process " + std::to_string(::getpid())});
}

TEST_F(Cli, EvalAndPredictNeedACheckpoint) {
  expect_failure(run({"eval", "nowhere", "--device", "cpu"}), 2, {"nowhere", "is not a run directory"});
  const std::vector<std::string> arguments = small_run(folder_.path());
  { RunDirectory(folder_ / "run", load_config(arguments[1]), OpenMode::create); }
  expect_failure(run({"eval", "run", "--device", "cpu"}), 3, {"no checkpoint"});
  expect_failure(run({"predict", "run", "file", "--device", "cpu"}), 3, {"no checkpoint"});
}

}  // namespace
}  // namespace alma
