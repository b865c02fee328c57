// What the program takes over from whoever starts it: streams, signals, limits; and names that are not UTF-8.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/files.h"
#include "base/utf8.h"
#include "tests/address_space.h"
#include "tests/alma/program.h"
#include "tests/data/files.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;

class CliProcess : public testing::Test {
 protected:
  fs::path root() const { return folder_.path(); }
  std::vector<std::string> run_to(const std::string& out, std::vector<std::string> extra = {}) const {
    extra.insert(extra.begin(), {"--out", out});
    return small_run(root(), std::move(extra));
  }
  /// Goes on for minutes, and saves only when it is told to stop.
  std::vector<std::string> long_run_to(const std::string& out) const {
    return run_to(out, {"--set", "train.max_epochs=100000", "--set", "train.patience=100000", "--set",
                        "train.checkpoint_seconds=1000"});
  }
  void expect_json_lines(const fs::path& run, int lines) const {
    std::istringstream text(read_text(run / "metrics.jsonl").value_or(""));
    int found = 0;
    for (std::string line; std::getline(text, line); ++found) EXPECT_TRUE(nlohmann::json::accept(line)) << line;
    EXPECT_EQ(found, lines);
  }
  static void wait_for(const Program& program, const fs::path& file) {
    ASSERT_TRUE(program.wait_until([&] { return fs::exists(file); })) << file;
  }

  TemporaryFolder folder_;
};

TEST_F(CliProcess, ClosedStandardStreamsLeadNowhere) {
  for (int closed = 1; closed < 8; ++closed) {
    const std::string out = "run" + std::to_string(closed);
    const Outcome outcome = run_alma(root(), run_to(out), [closed] {
      for (int stream = 0; stream < 3; ++stream)
        if (closed >> stream & 1) ::close(stream);
    });
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    expect_json_lines(root() / out, 6);
    EXPECT_TRUE(nlohmann::json::accept(read_text(root() / out / "run.lock").value_or("")));
  }
  const Outcome eval = run_alma(root(), {"eval", "run1"}, [] { ::close(STDOUT_FILENO); });
  expect_failure(eval, 1, {"standard output", "closed"});
}

TEST_F(CliProcess, ResultsThatCannotBeWrittenAreAnError) {
  ASSERT_EQ(run_alma(root(), run_to("run")).code, 0);
  const auto full = [] { ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO); };
  for (const char* command : {"eval", "info"}) {
    std::vector<std::string> arguments = {command};
    if (command == std::string("eval")) arguments.push_back("run");
    expect_failure(run_alma(root(), arguments, full), 1, {"cannot write standard output"});
  }
  std::ofstream(root() / "images", std::ios::binary)  // more output than a buffer holds: an error before the end counts too
      << std::string("\0\0\x8\x3\0\0\x8\0\0\0\0\x1c\0\0\0\x1c", 16) << std::string(2048 * 784, 'x');
  expect_failure(run_alma(root(), {"predict", "run", "images"}, full), 1, {"cannot write standard output"});
}

TEST_F(CliProcess, EverySignalThatAsksForAnEndSaves) {
  const Outcome whole = run_alma(root(), run_to("whole"));
  ASSERT_EQ(whole.code, 0) << whole.err;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU, SIGUSR1, SIGUSR2}) {
    SCOPED_TRACE(::strsignal(signal));
    const std::string out = "run" + std::to_string(signal);
    Program program(root(), long_run_to(out));
    wait_for(program, root() / out / "metrics.jsonl");
    program.signal(signal);
    const Outcome outcome = program.finish();
    EXPECT_EQ(outcome.code, 130) << outcome.err;
    EXPECT_NE(outcome.err.find("interrupted and saved"), std::string::npos) << outcome.err;
    EXPECT_TRUE(fs::exists(root() / out / "checkpoint/state.json"));
  }
}

TEST_F(CliProcess, SignalsThatAreIgnoredAtTheStartStayIgnored) {
  const auto ignore = [] {
    for (const int signal : {SIGHUP, SIGINT, SIGCHLD, SIGPIPE}) ::signal(signal, SIG_IGN);  // nohup, a script's "&", others
  };
  Program program(root(), long_run_to("run"), ignore);
  wait_for(program, root() / "run/metrics.jsonl");
  program.signal(SIGHUP);
  program.signal(SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_FALSE(fs::exists(root() / "run/checkpoint/state.json"));
  program.signal(SIGTERM);
  EXPECT_EQ(program.finish().code, 130);
}

// All of a sweep's processes get the signal, as from a terminal or a batch system, while SIGTERM is ignored.
TEST_F(CliProcess, ASweepSavesItsRunsWhateverSignalAsks) {
  std::ofstream(root() / "sweep.toml")
      << "[set]\nstream.dataset = \"synthetic-images\"\nstream.synthetic_train = 600\nstream.synthetic_test = 100\n"
         "stream.mega_batches = 6\nmodel.width = 4\ntrain.checkpoint_seconds = 1000\ntrain.max_epochs = 100000\n"
         "train.patience = 100000\n[axes]\nseed = [0, 1]\n";
  Program program(root(), {"sweep", "sweep.toml", "--out", "all", "--jobs", "2", "--device", "cpu"}, [] {
    ::setpgid(0, 0);
    ::signal(SIGTERM, SIG_IGN);
    ::signal(SIGCHLD, SIG_IGN);
  });
  ASSERT_TRUE(program.wait_until([&] {
    int begun = 0;
    if (fs::exists(root() / "all"))
      for (const auto& entry : fs::directory_iterator(root() / "all")) begun += fs::exists(entry.path() / "metrics.jsonl");
    return begun == 2;
  }));
  program.signal_group(SIGHUP);
  const Outcome outcome = program.finish();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_EQ(outcome.err.find("FAILED"), std::string::npos) << outcome.err;
  for (const auto& entry : fs::directory_iterator(root() / "all"))
    EXPECT_TRUE(fs::exists(entry.path() / "checkpoint/state.json")) << entry.path();
}

TEST_F(CliProcess, AnInterruptedDryRunIsInterrupted) {
  std::ofstream(root() / "sweep.toml") << "[set]\nstream.dataset = \"synthetic-images\"\n[axes]\n"
                                          "model.width = [4, 8, 16, 32, 64, 128, 256, 512]\n";
  Program program(root(), {"sweep", "sweep.toml", "--dry-run"});
  ASSERT_TRUE(
      program.wait_until([&] { return program.catches(SIGTERM); }));  // eight probes take half a second each at least
  program.signal(SIGTERM);
  const Outcome outcome = program.finish();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

TEST_F(CliProcess, FewerThreadsThanAskedForGiveTheSameNumbers) {
  if (!kLimitable) GTEST_SKIP() << kNotLimitable;
  ASSERT_EQ(run_alma(root(), run_to("one")).code, 0);
  std::vector<std::string> arguments = run_to("few");
  *(std::find(arguments.begin(), arguments.end(), "--threads") + 1) = "8";
  const Outcome outcome = run_alma(root(), arguments, [] {
    const rlimit stack{rlim_t{1} << 30, RLIM_INFINITY};
    ::setrlimit(RLIMIT_STACK, &stack);
    limit_address_space(rlim_t{3} << 30);
  });
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("of 8 threads could be started"), std::string::npos) << outcome.err;
  EXPECT_EQ(metrics_of(root() / "few"), metrics_of(root() / "one"));
}

TEST_F(CliProcess, OutOfMemoryIsAnErrorWithAdvice) {
  if (!kLimitable) GTEST_SKIP() << kNotLimitable;
  int failed = 0;
  for (rlim_t megabytes = 60; megabytes <= 200; megabytes += 20) {
    SCOPED_TRACE(megabytes);
    const Outcome outcome = run_alma(
        root(), run_to("run" + std::to_string(megabytes), {"--set", "learner.method=ens", "--set", "learner.members=512"}),
        [megabytes] { limit_address_space(megabytes << 20); });
    // Too little for the dynamic linker, or enough.
    if (outcome.code == 0 || outcome.code == 127 || outcome.err.find("cannot be loaded") != std::string::npos) continue;
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    if (outcome.err.find("out of memory") != std::string::npos && outcome.err.find("needs less") != std::string::npos)
      ++failed;
  }
  EXPECT_GE(failed, 1);
}

TEST_F(CliProcess, PathsAreBytes) {
  const std::string name = "caf\xe9";  // Latin-1
  const Outcome run = run_alma(root(), run_to(name));
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run_alma(root(), {"eval", name}).code, 0);
  EXPECT_EQ(run_alma(root(), {"run", "--resume", "--out", name}).code, 0);
  fs::rename(root() / "small.toml", root() / (name + ".toml"));
  EXPECT_EQ(run_alma(root(), {"run", name + ".toml", "--out", "other"}).code, 0);
  fs::create_directory(root() / (name + "-report"));
  const Outcome report = run_alma(root(), {"report", name, "-o", name + "-report/r.html", "--csv", name + ".csv"});
  EXPECT_EQ(report.code, 0) << report.err;
  for (const std::string& file : {name + "-report/r.html", name + ".csv"}) {
    const std::string text = read_text(root() / file).value_or("\xff");
    EXPECT_EQ(first_invalid_utf8(text), std::nullopt) << file;
    EXPECT_NE(text.find(file.ends_with("csv") ? "caf\\xE9" : "caf\\\\xE9"), std::string::npos) << file;
  }
}

TEST_F(CliProcess, AValueOfTheConfigurationIsUtf8) {
  const Outcome outcome =
      run_alma(root(), run_to("run", {"--set", "stream.dataset=idx", "--set", "stream.train_images=/data/caf\xe9/images"}));
  expect_failure(outcome, 2, {"stream.train_images=/data/caf\\xE9/images", "not UTF-8", "symbolic link"});
  EXPECT_FALSE(fs::exists(root() / "run"));
  std::ofstream(root() / "latin1.toml") << "[stream]\ndataset = \"idx\"\ntrain_images = \"/data/caf\xe9/images\"\n";
  expect_failure(run_alma(root(), {"run", "latin1.toml", "--out", "run"}), 2, {"latin1.toml:3", "utf-8"});
}

TEST_F(CliProcess, WhatHasNothingToSaveEndsWith130Too) {
  ASSERT_EQ(run_alma(root(), run_to("run")).code, 0);
  ASSERT_EQ(::mkfifo((root() / "fifo").c_str(), 0600), 0);  // a file of images that never comes
  Program program(root(), {"predict", "run", "fifo", "--device", "cpu"});
  int images = -1;  // open for writing as soon as the program reads, and nothing is written
  EXPECT_TRUE(program.wait_until([&] { return (images = ::open((root() / "fifo").c_str(), O_WRONLY | O_NONBLOCK)) >= 0; }));
  program.signal(SIGHUP);
  const Outcome outcome = program.finish();
  ::close(images);
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("interrupted"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace alma::test
