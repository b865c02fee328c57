#include "alma/run/run_directory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/files.h"
#include "tests/alma/limits.h"
#include "tests/data/files.h"

namespace alma {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

Config some_config(std::int64_t width = 8) {
  Config config;
  config.model.width = width;
  return config;
}

MegaBatchRecord some_record(std::int64_t t) {
  MegaBatchRecord record;
  record.t = t;
  record.error = 1 / static_cast<double>(t + 2);
  record.train_macs = Count{1} << (50 + t);
  record.seconds = 0.1 * static_cast<double>(t);
  return record;
}

std::string text_of(const fs::path& path) { return read_text(path).value(); }

TEST(RunDirectory, NewOneHoldsTheConfiguration) {
  test::TemporaryFolder folder;
  const fs::path path = folder / "a/b/run";
  RunDirectory directory(path, some_config(), OpenMode::create);
  EXPECT_EQ(directory.path(), path);
  EXPECT_FALSE(is_finished(directory.path()));
  EXPECT_EQ(directory.metrics_bytes(), 0u);
  EXPECT_EQ(text_of(path / "config.toml"), write_config(some_config()));
  EXPECT_TRUE(differences(read_run_config(path), some_config()).empty());
  EXPECT_EQ(text_of(path / "metrics.jsonl"), "");
}

TEST(RunDirectory, WhatExistsIsLeftAlone) {
  test::TemporaryFolder folder;
  fs::create_directory(folder / "run");
  std::ofstream(folder / "file") << "precious";
  for (const char* name : {"run", "file"})
    expect_error(ErrorKind::usage, {name, "exists already", "--resume", "--out"},
                 [&] { RunDirectory(folder / name, some_config(), OpenMode::create); });
  EXPECT_TRUE(fs::is_empty(folder / "run"));
  EXPECT_EQ(text_of(folder / "file"), "precious");
}

TEST(RunDirectory, DefaultNamesAreNumbered) {
  test::TemporaryFolder folder;
  for (const char* expected : {"run", "run-2", "run-3"}) {
    RunDirectory directory(folder / "run", some_config(), OpenMode::create_free);
    EXPECT_EQ(directory.path(), folder / expected);
    EXPECT_TRUE(fs::exists(directory.path() / "config.toml"));
  }
}

TEST(RunDirectory, AFolderThatCannotBeMadeIsWrongUsage) {
  test::TemporaryFolder folder;
  std::ofstream(folder / "file") << "x";
  for (OpenMode mode : {OpenMode::create, OpenMode::create_free})
    for (const std::string& path : {folder / "file/run", folder / "file/a/run"})
      expect_error(ErrorKind::usage, {"cannot make the run directory", path, "Not a directory"},
                   [&] { RunDirectory(path, some_config(), mode); });
}

TEST(RunDirectory, RecordsAreWholeLinesAndReadBack) {
  test::TemporaryFolder folder;
  RunDirectory directory(folder / "run", some_config(), OpenMode::create);
  std::string expected;
  for (std::int64_t t = 1; t <= 20; ++t) {
    directory.append(some_record(t));
    expected += to_json_line(some_record(t)) + "\n";
    EXPECT_EQ(text_of(folder / "run/metrics.jsonl"), expected);
    EXPECT_EQ(directory.metrics_bytes(), expected.size());
  }
  directory.sync_metrics();
  const auto records = read_metrics(directory.path());
  ASSERT_EQ(records.size(), 20u);
  for (std::int64_t t = 1; t <= 20; ++t)
    EXPECT_EQ(to_json_line(records[static_cast<std::size_t>(t - 1)]), to_json_line(some_record(t)));
}

TEST(RunDirectory, ResumeGoesBackToTheCheckpointAndAppends) {
  test::TemporaryFolder folder;
  std::uint64_t checkpoint = 0;
  {
    RunDirectory directory(folder / "run", some_config(), OpenMode::create);
    directory.append(some_record(1));
    checkpoint = directory.metrics_bytes();
    directory.append(some_record(2));
  }
  RunDirectory directory(folder / "run", some_config(), OpenMode::resume);
  EXPECT_EQ(read_metrics(directory.path()).size(), 2u);
  directory.truncate_metrics(checkpoint);
  EXPECT_EQ(read_metrics(directory.path()).size(), 1u);
  directory.append(some_record(2));
  EXPECT_EQ(text_of(folder / "run/metrics.jsonl"),
            to_json_line(some_record(1)) + "\n" + to_json_line(some_record(2)) + "\n");
  expect_error(ErrorKind::data, {"metrics.jsonl", "the checkpoint counts on 100000"},
               [&] { directory.truncate_metrics(100000); });
}

TEST(RunDirectory, ResumeDropsHalfALine) {
  test::TemporaryFolder folder;
  { RunDirectory(folder / "run", some_config(), OpenMode::create).append(some_record(1)); }
  std::ofstream(folder / "run/metrics.jsonl", std::ios::app) << R"({"t":2,"upd)";
  RunDirectory directory(folder / "run", some_config(), OpenMode::resume);
  EXPECT_EQ(text_of(folder / "run/metrics.jsonl"), to_json_line(some_record(1)) + "\n");
  EXPECT_EQ(directory.metrics_bytes(), to_json_line(some_record(1)).size() + 1);
}

TEST(RunDirectory, ADamagedLineIsNamed) {
  test::TemporaryFolder folder;
  RunDirectory directory(folder / "run", some_config(), OpenMode::create);
  directory.append(some_record(1));
  std::ofstream(folder / "run/metrics.jsonl", std::ios::app) << "garbage\n";
  expect_error(ErrorKind::data, {"metrics.jsonl:2"}, [&] { read_metrics(directory.path()); });
}

TEST(RunDirectory, ResumeWithAnotherConfigurationListsTheKeys) {
  test::TemporaryFolder folder;
  { RunDirectory(folder / "run", some_config(8), OpenMode::create); }
  Config other = some_config(9);
  other.train.lr = 0.5;
  expect_error(ErrorKind::usage,
               {"another configuration", "model.width is 8 there, 9 was given", "train.lr is 1.0 there, 0.5 was given"},
               [&] { RunDirectory(folder / "run", other, OpenMode::resume); });
}

TEST(RunDirectory, ResumeNeedsARunDirectory) {
  test::TemporaryFolder folder;
  fs::create_directory(folder / "empty");
  for (const char* name : {"empty", "missing"})
    expect_error(ErrorKind::usage, {name, "is no run directory", "config.toml"},
                 [&] { RunDirectory(folder / name, some_config(), OpenMode::resume); });
  EXPECT_FALSE(fs::exists(folder / "missing"));
  EXPECT_TRUE(fs::is_empty(folder / "empty"));
}

TEST(RunDirectory, AdmitsOneWriter) {
  test::TemporaryFolder folder;
  {
    RunDirectory first(folder / "run", some_config(), OpenMode::create);
    char host[256] = {};
    ::gethostname(host, sizeof host - 1);
    expect_error(ErrorKind::usage, {"has a writer", "process " + std::to_string(::getpid()), host, "started 20"},
                 [&] { RunDirectory(folder / "run", some_config(), OpenMode::resume); });
    first.append(some_record(1));
    EXPECT_EQ(read_metrics(first.path()).size(), 1u);
  }
  RunDirectory second(folder / "run", some_config(), OpenMode::resume);
  const auto lock = nlohmann::json::parse(text_of(folder / "run/run.lock"));
  EXPECT_EQ(lock.at("pid"), ::getpid());
}

TEST(RunDirectory, TheLockOfAKilledProcessIsNoObstacle) {
  test::TemporaryFolder folder;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    RunDirectory directory(folder / "run", some_config(), OpenMode::create);
    directory.append(some_record(1));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(nlohmann::json::parse(text_of(folder / "run/run.lock")).at("pid"), child);
  RunDirectory directory(folder / "run", some_config(), OpenMode::resume);
  EXPECT_EQ(read_metrics(directory.path()).size(), 1u);
}

TEST(RunDirectory, ResultMakesItFinished) {
  test::TemporaryFolder folder;
  {
    RunDirectory directory(folder / "run", some_config(), OpenMode::create);
    directory.write_result({{"cer", 0.1}, {"seed", 0}});
    EXPECT_TRUE(is_finished(directory.path()));
  }
  RunDirectory directory(folder / "run", some_config(), OpenMode::resume);
  EXPECT_TRUE(is_finished(directory.path()));
  EXPECT_EQ(nlohmann::json::parse(text_of(folder / "run/result.json")), (nlohmann::json{{"cer", 0.1}, {"seed", 0}}));
}

// A write that stops within a line, as on a full disk.
TEST(RunDirectory, ALineThatDoesNotFitIsTakenBack) {
  test::TemporaryFolder folder;
  RunDirectory directory(folder / "run", some_config(), OpenMode::create);
  directory.append(some_record(1));
  const std::uint64_t before = directory.metrics_bytes();
  for (rlim_t room : {0, 1, 20}) {
    test::FileSizeLimit limit(before + room);
    expect_error(ErrorKind::failed, {"metrics.jsonl", "--resume --out"}, [&] { directory.append(some_record(2)); });
    EXPECT_EQ(directory.metrics_bytes(), before);
    EXPECT_EQ(text_of(folder / "run/metrics.jsonl"), to_json_line(some_record(1)) + "\n");
  }
  directory.append(some_record(2));
  EXPECT_EQ(read_metrics(directory.path()).size(), 2u);
}

TEST(RunDirectory, AFullDiskLeavesWholeLines) {
  test::TemporaryFolder folder;
  test::SmallDisk disk(folder / "disk", 64);
  if (!disk.problem().empty()) GTEST_SKIP() << disk.problem();
  RunDirectory directory(folder / "disk/run", some_config(), OpenMode::create);
  disk.fill(4);
  std::int64_t t = 1;
  const auto fill_up = [&] {
    for (; t < 1000; ++t) directory.append(some_record(1));
  };
  expect_error(ErrorKind::failed, {"metrics.jsonl", "No space left on device", "make room"}, fill_up);
  EXPECT_EQ(read_metrics(directory.path()).size(), static_cast<std::size_t>(t - 1));
  EXPECT_EQ(text_of(folder / "disk/run/metrics.jsonl").size(), directory.metrics_bytes());
  expect_error(ErrorKind::failed, {"result.json", "No space left on device"}, [&] {
    directory.write_result({{"text", std::string(100000, 'x')}});
  });
  EXPECT_FALSE(is_finished(directory.path()));
  expect_error(ErrorKind::failed, {"disk/other", "No space left on device"},
               [&] { RunDirectory(folder / "disk/other", some_config(), OpenMode::create); });
  EXPECT_FALSE(fs::exists(folder / "disk/other"));
}

TEST(Files, AFailedReplacementLeavesTheOldContent) {
  test::TemporaryFolder folder;
  write_atomically(folder / "file", "old");
  {
    test::FileSizeLimit limit(2);
    EXPECT_THROW(write_atomically(folder / "file", "newer"), Error);
  }
  EXPECT_EQ(text_of(folder / "file"), "old");
  EXPECT_FALSE(fs::exists(folder / "file.tmp"));
  write_atomically(folder / "file", "");
  EXPECT_EQ(text_of(folder / "file"), "");
}

TEST(RunDirectory, EnsureCreatesOrGoesOnAndLeavesTheWriterAlone) {
  test::TemporaryFolder folder;
  const fs::path path = folder / "run";
  const Config config = some_config();
  {
    const RunDirectory first(path, config, OpenMode::ensure);
    EXPECT_THROW(RunDirectory(path, config, OpenMode::ensure), HasWriter);
    EXPECT_TRUE(fs::exists(path / "config.toml")) << "the second must not touch it";
  }
  { const RunDirectory again(path, config, OpenMode::ensure); }
  fs::remove(path / "config.toml");  // killed between making the folder and the configuration
  { const RunDirectory half(path, config, OpenMode::ensure); }
  EXPECT_TRUE(differences(read_run_config(path), config).empty());
  expect_error(ErrorKind::usage, {"another configuration", "model.width"},
               [&] { RunDirectory(path, some_config(4), OpenMode::ensure); });
}

}  // namespace
}  // namespace alma
