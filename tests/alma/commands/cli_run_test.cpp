#include <gtest/gtest.h>
#include <algorithm>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "alma/config/config.h"
#include "alma/learn/kinds.h"
#include "alma/learn/metrics.h"
#include "alma/run/checkpoint.h"
#include "alma/run/run_directory.h"
#include "base/files.h"
#include "tests/alma/limits.h"
#include "tests/alma/program.h"
#include "tests/data/files.h"

namespace alma {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_failure;
using test::metrics_of;
using test::Outcome;
using test::Program;
using test::run_alma;
using test::small_run;
using test::SmallDisk;

std::string text_of(const fs::path& path) { return read_text(path).value(); }

// The weights of the last checkpoint, byte by byte, without the names that count checkpoints.
std::string weights_of(const fs::path& run) {
  const json state = json::parse(text_of(run / "checkpoint/state.json"));
  return text_of(run / "checkpoint" / state.at("weights").at("file").get<std::string>());
}

class CliRun : public testing::Test {
 protected:
  Outcome run(const std::vector<std::string>& arguments) const { return run_alma(folder_.path(), arguments); }
  Outcome run_with(std::vector<std::string> extra) const { return run(small_run(folder_.path(), std::move(extra))); }

  test::TemporaryFolder folder_;
};

TEST_F(CliRun, LeavesWhatTheContractNames) {
  const Outcome outcome = run_with({"--out", "run"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  for (const char* part : {"stream.mega_batches", "test error", "CER", "run directory"})
    EXPECT_NE(outcome.out.find(part), outcome.out.npos);
  const fs::path path = folder_ / "run";
  EXPECT_TRUE(differences(load_config(path / "config.toml"), load_config(folder_ / "small.toml")).empty());

  std::vector<MegaBatchRecord> records;
  std::istringstream lines(text_of(path / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) records.push_back(record_from_json(line));
  ASSERT_EQ(records.size(), 6u);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(records[i].t, static_cast<std::int64_t>(i) + 1);
    EXPECT_EQ(records[i].updated, i % 2 == 1);
    EXPECT_GT(records[i].params, 0);
  }
  EXPECT_EQ(records[0].error, 0.9);
  EXPECT_FALSE(records[0].loss);
  EXPECT_EQ(records[1].error, records[2].error);

  const json result = json::parse(text_of(path / "result.json"));
  const Aggregates sums = aggregate(records, 2);
  EXPECT_EQ(result.at("cer"), sums.cer);
  EXPECT_EQ(result.at("final_error"), sums.final_error);
  EXPECT_EQ(result.at("mem"), count_to_json(sums.mem));
  EXPECT_EQ(result.at("comp_macs"), count_to_json(sums.comp_macs));
  EXPECT_EQ(result.at("comp_flops"), count_to_json(sums.comp_flops));
  EXPECT_EQ(result.at("paper_cer"), *sums.paper_cer);
  for (const char* key : {"seconds", "device", "level", "threads", "seed", "version"})
    EXPECT_TRUE(result.contains(key)) << key;
  EXPECT_EQ(result.at("device"), "cpu");
}

TEST_F(CliRun, DeviceAutoSaysWhyItIsNoGpu) {
  std::vector<std::string> arguments = small_run(folder_.path(), {"--out", "run"});
  *std::next(std::find(arguments.begin(), arguments.end(), "--device")) = "auto";
  const Outcome outcome = run(arguments);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  if (json::parse(text_of(folder_ / "run/result.json")).at("device") == "cuda") {
    EXPECT_EQ(outcome.out.find("device auto is cpu"), outcome.out.npos);
  } else {
    EXPECT_NE(outcome.out.find("device auto is cpu        no "), outcome.out.npos) << outcome.out;
  }
  EXPECT_EQ(outcome.err, "");
}

TEST_F(CliRun, DefaultFoldersAreNumberedAndQuietIsQuiet) {
  for (const char* name : {"small-seed7", "small-seed7-2"}) {
    const Outcome outcome = run_with({"--seed", "7", "--quiet"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out + outcome.err, "");
    EXPECT_EQ(json::parse(text_of(folder_ / ("runs/" + std::string(name) + "/result.json"))).at("seed"), 7);
  }
}

TEST_F(CliRun, AFinishedRunIsReportedAgain) {
  ASSERT_EQ(run_with({"--out", "run", "--quiet"}).code, 0);
  const std::string result = text_of(folder_ / "run/result.json");
  const Outcome again = run({"run", "--out", "run", "--resume"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.out.find("complete"), again.out.npos);
  EXPECT_EQ(text_of(folder_ / "run/result.json"), result);
  expect_failure(run_with({"--out", "run"}), 2, {"exists already"});
}

TEST_F(CliRun, PrintConfigShowsEveryKeyAndLoads) {
  const Outcome defaults = run({"run", "--print-config"});
  ASSERT_EQ(defaults.code, 0) << defaults.err;
  EXPECT_EQ(defaults.out, write_config(Config{}, true));
  const Outcome resolved = run_with({"--print-config", "--seed", "9", "--set", "learner.wait=3"});
  ASSERT_EQ(resolved.code, 0);
  const Config config = parse_config(resolved.out, "printed");
  EXPECT_EQ(config.seed, 9);
  EXPECT_EQ(config.learner.wait, 3);
  EXPECT_EQ(config.stream.mega_batches, 6);
  EXPECT_FALSE(fs::exists(folder_ / "runs"));
}

TEST_F(CliRun, InterruptedAndResumedIsTheSameRun) {
  // Seconds of training, saved every 50 ms: each process is stopped after its first checkpoint.
  const auto arguments = [&](const char* out) {
    return small_run(folder_.path(), {"--quiet", "--out", out, "--set", "train.max_epochs=2000", "--set",
                                      "train.patience=2000", "--set", "train.checkpoint_seconds=0.05"});
  };
  ASSERT_EQ(run(arguments("whole")).code, 0);
  std::vector<std::string> next = arguments("parts");
  const fs::path state = folder_ / "parts/checkpoint/state.json", result = folder_ / "parts/result.json";
  for (int signal : {SIGINT, SIGKILL, SIGTERM, SIGKILL, SIGINT, SIGKILL}) {
    const std::string before = read_text(state).value_or("");
    Program process(folder_.path(), next);
    ASSERT_TRUE(process.wait_until([&] { return read_text(state).value_or("") != before; })) << process.finish().err;
    process.signal(signal);
    const Outcome outcome = process.finish();
    ASSERT_EQ(outcome.code, signal == SIGKILL ? -SIGKILL : 130) << outcome.err;
    if (signal != SIGKILL) {
      EXPECT_NE(outcome.err.find("--resume --out"), std::string::npos) << outcome.err;
    }
    EXPECT_FALSE(fs::exists(result));
    next = {"run", "--resume", "--out", "parts", "--quiet", "--device", "cpu", "--threads", "1"};
  }
  const Outcome last = run(next);
  EXPECT_EQ(last.code, 0) << last.err;
  EXPECT_TRUE(fs::exists(result));
  EXPECT_EQ(metrics_of(folder_ / "parts"), metrics_of(folder_ / "whole"));
  EXPECT_EQ(weights_of(folder_ / "parts"), weights_of(folder_ / "whole"));
}

TEST_F(CliRun, ADamagedCheckpointIsReplacedByTheOneBefore) {
  ASSERT_EQ(run_with({"--out", "whole", "--quiet"}).code, 0);
  // A checkpoint after every step, so that there are two generations.
  ASSERT_EQ(run_with({"--out", "run", "--quiet", "--set", "train.checkpoint_seconds=0"}).code, 0);
  fs::remove(folder_ / "run/result.json");
  const json state = json::parse(text_of(folder_ / "run/checkpoint/state.json"));
  const fs::path weights = folder_ / ("run/checkpoint/" + state.at("weights").at("file").get<std::string>());
  std::string damaged = text_of(weights);
  damaged[damaged.size() / 2] ^= 1;
  write_atomically(weights, damaged);
  const Outcome outcome = run({"run", "--resume", "--out", "run", "--quiet", "--device", "cpu"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("the newest checkpoint is damaged"), outcome.err.npos) << outcome.err;
  EXPECT_NE(outcome.err.find("SHA-256"), outcome.err.npos) << outcome.err;
  EXPECT_EQ(metrics_of(folder_ / "run"), metrics_of(folder_ / "whole"));
  EXPECT_EQ(weights_of(folder_ / "run"), weights_of(folder_ / "whole"));
}

TEST_F(CliRun, AFullDiskEndsTheRunAndWithRoomItGoesOnToTheSameResult) {
  const SmallDisk disk(folder_ / "disk", 2048);
  if (!disk.problem().empty()) GTEST_SKIP() << disk.problem();
  const std::vector<std::string> often = {
      "--set", "train.checkpoint_seconds=0.001", "--set", "train.max_epochs=300", "--quiet", "--out"};
  const auto with_out = [&](const char* out) {
    std::vector<std::string> extra = often;
    extra.emplace_back(out);
    return extra;
  };
  ASSERT_EQ(run_with(with_out("whole")).code, 0);
  disk.fill(100);  // room for one checkpoint of 3,210 parameters with their optimizer, not for two
  expect_failure(run_with(with_out("disk/run")), 1, {"No space left on device", "disk/run", "--resume"});
  fs::remove(fs::path(folder_ / "disk") / "filler");
  const Outcome end = run({"run", "--resume", "--out", "disk/run", "--quiet"});
  EXPECT_EQ(end.code, 0) << end.err;
  const auto cer = [&](const char* out) {
    return json::parse(text_of(folder_ / (std::string(out) + "/result.json"))).at("cer");
  };
  EXPECT_EQ(cer("disk/run"), cer("whole"));
}

TEST_F(CliRun, EvalAgreesWithTheRun) {
  ASSERT_EQ(run_with({"--out", "run", "--quiet"}).code, 0);
  const double error = json::parse(text_of(folder_ / "run/result.json")).at("final_error");
  for (const char* checkpoint : {"run", "run/checkpoint"}) {
    const Outcome outcome = run({"eval", checkpoint, "--device", "cpu"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    char expected[32];
    std::snprintf(expected, sizeof expected, "error %.4f", error);
    EXPECT_NE(outcome.out.find(expected), outcome.out.npos) << outcome.out << expected;
  }
}

TEST_F(CliRun, EvalSaysThatTheConfigurationIsAnotherThanTheCheckpoints) {
  const fs::path config = folder_ / "run/config.toml";
  ASSERT_EQ(run_with({"--out", "run", "--quiet"}).code, 0);
  EXPECT_EQ(run({"eval", "run", "--device", "cpu"}).err, "");
  std::string text = text_of(config);
  const std::string before = "synthetic_test = 100\n";
  ASSERT_NE(text.find(before), text.npos) << text;
  std::ofstream(config) << text.replace(text.find(before), before.size(), "synthetic_test = 90\n");
  const Outcome outcome = run({"eval", "run", "--device", "cpu"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("warning: run/config.toml was changed: stream.synthetic_test was 100, is 90"), outcome.err.npos)
      << outcome.err;
}

// A checkpoint may be whole and yet hold other models than those of this run: here of as many classes less.
TEST_F(CliRun, ACheckpointOfAnotherModelIsRefused) {
  ASSERT_EQ(run_with({"--out", "run", "--quiet"}).code, 0);
  fs::remove(folder_ / "run/result.json");
  {
    Context context("cpu");
    CheckpointStore store(folder_ / "run/checkpoint");
    Checkpoint checkpoint = store.load(context);
    InputDescription input = input_from_json(checkpoint.state.at("input"));
    input.classes -= 3;
    const auto other = make_learner(read_run_config(folder_ / "run"), context, input);
    checkpoint.state["learner"] = other->state();
    store.save(other->tensors(), checkpoint.state, checkpoint.mark);
  }
  for (const std::vector<std::string>& command : {std::vector<std::string>{"eval", "run", "--device", "cpu"},
                                                  {"run", "--resume", "--out", "run", "--device", "cpu", "--quiet"}})
    expect_failure(run(command), 3, {"the checkpoint is of another model", "10 classes was expected", "[1, 7]"});
}

TEST_F(CliRun, InfoNamesVersionDevicesAndLibraries) {
  const Outcome outcome = run({"info"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* part : {"alma 0.", "compiler", "cuda", "devices", "+ cpu ", "cpu:generic", "libraries", "toml++", "CLI11",
                           "OpenSSL", "libcurl", "libarchive", "PCRE2", "Unicode 1"})
    EXPECT_NE(outcome.out.find(part), outcome.out.npos) << part << "\n" << outcome.out;
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 160u) << line;
    EXPECT_EQ(line.find("was not found in"), line.npos) << "the folders that were searched: " << line;
  }
  EXPECT_EQ(run({"--version"}).out, outcome.out.substr(0, outcome.out.find('\n') + 1));
}

TEST_F(CliRun, DataListsEverySet) {
  const Outcome outcome = run({"data", "list"});
  EXPECT_EQ(outcome.code, 0);
  for (const char* name : {"mnist", "fashion-mnist", "cifar10", "idx", "synthetic-images"})
    EXPECT_NE(outcome.out.find(name), outcome.out.npos);
}

}  // namespace
}  // namespace alma
