#include "alma/run/run_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "alma/run/checkpoint.h"
#include "alma/run/run_record.h"
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
  EXPECT_EQ(directory.mark().metrics_bytes, 0u);
  EXPECT_EQ(text_of(path / "config.toml"), write_config(some_config()));
  EXPECT_TRUE(differences(read_run_config(path), some_config()).empty());
  EXPECT_EQ(text_of(path / "metrics.jsonl"), "");
}

TEST(RunDirectory, WhatExistsIsLeftAlone) {
  test::TemporaryFolder folder;
  folder.write("full/letter", {1});
  std::ofstream(folder / "file") << "precious";
  for (const char* name : {"full", "file"})
    expect_error(ErrorKind::usage, {name, "exists already", "other files", "--out"},
                 [&] { RunDirectory(folder / name, some_config(), OpenMode::create); });
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "full"), fs::directory_iterator()), 1);
  EXPECT_EQ(text_of(folder / "file"), "precious");
  { RunDirectory(folder / "run", some_config(), OpenMode::create); }
  expect_error(ErrorKind::usage, {"exists already", "add --resume"},
               [&] { RunDirectory(folder / "run", some_config(), OpenMode::create); });
}

TEST(RunDirectory, AnyWayToWriteAFolderNamesIt) {
  test::TemporaryFolder folder;
  for (const char* name : {"new/", "a/b//", "./c/.", "d/./"}) {
    const fs::path path = folder / name;
    { RunDirectory(path, some_config(), OpenMode::create); }
    EXPECT_TRUE(fs::exists(path / "config.toml")) << name;
    { RunDirectory(path, some_config(), OpenMode::resume); }
    const RunDirectory second(path, some_config(), OpenMode::create_free);
    EXPECT_TRUE(second.path().string().ends_with("-2")) << second.path();
  }
}

// Killed before it began, at any point: with nothing, a lock, no records yet, half of its configuration.
TEST(RunDirectory, WhatAKilledStartLeavesIsUsedAgain) {
  test::TemporaryFolder folder;
  for (const OpenMode mode : {OpenMode::create, OpenMode::ensure})
    for (const std::vector<const char*>& left : {std::vector<const char*>{},
                                                 {"run.lock"},
                                                 {"run.lock", "metrics.jsonl"},
                                                 {"run.lock", "metrics.jsonl", ".alma-1.tmp"}}) {
      const fs::path path = folder / ("run" + std::to_string(left.size()) + (mode == OpenMode::create ? "c" : "e"));
      fs::create_directory(path);
      for (const char* name : left) std::ofstream(path / name) << "";
      RunDirectory directory(path, some_config(), mode);
      directory.append(some_record(1));
      EXPECT_EQ(text_of(path / "config.toml"), write_config(some_config()));
      EXPECT_FALSE(fs::exists(path / ".alma-1.tmp"));
    }
}

TEST(RunDirectory, ARefusedStartLeavesNothing) {
  test::TemporaryFolder folder;
  std::ofstream(folder / "file") << "x";
  expect_error(ErrorKind::usage, {"exists already"},
               [&] { RunDirectory(folder / "new/..", some_config(), OpenMode::create); });
  expect_error(ErrorKind::usage, {"cannot create"},
               [&] { RunDirectory(folder / "file/a", some_config(), OpenMode::create); });
  {
    test::FileSizeLimit limit(10);  // the lock's file cannot be written
    EXPECT_THROW(RunDirectory(folder / "a/b/run", some_config(), OpenMode::create), Error);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1) << "the file alone";
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
      expect_error(ErrorKind::usage, {"cannot create the run directory", path, "Not a directory"},
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
    EXPECT_EQ(directory.mark().metrics_bytes, expected.size());
    EXPECT_EQ(directory.mark().metrics_sha256, sha256(expected));
  }
  const auto records = read_metrics(directory.path());
  ASSERT_EQ(records.size(), 20u);
  for (std::int64_t t = 1; t <= 20; ++t)
    EXPECT_EQ(to_json_line(records[static_cast<std::size_t>(t - 1)]), to_json_line(some_record(t)));
}

TEST(RunDirectory, ResumeGoesBackToTheCheckpointAndAppends) {
  test::TemporaryFolder folder;
  RunMark checkpoint;
  {
    RunDirectory directory(folder / "run", some_config(), OpenMode::create);
    directory.append(some_record(1));
    checkpoint = directory.mark();
    directory.append(some_record(2));
  }
  std::ofstream(folder / "run/metrics.jsonl", std::ios::app) << R"({"t":3,"upd)";  // a machine that lost power
  RunDirectory directory(folder / "run", some_config(), OpenMode::resume);
  EXPECT_EQ(directory.go_back_to(checkpoint).size(), 1u);
  EXPECT_EQ(directory.mark().metrics_sha256, checkpoint.metrics_sha256);
  directory.append(some_record(2));
  const std::string whole = to_json_line(some_record(1)) + "\n" + to_json_line(some_record(2)) + "\n";
  EXPECT_EQ(text_of(folder / "run/metrics.jsonl"), whole);
  EXPECT_EQ(directory.mark().metrics_sha256, sha256(whole));
  checkpoint.metrics_bytes = 100000;
  expect_error(ErrorKind::data, {"metrics.jsonl", "the checkpoint expects 100000"},
               [&] { directory.go_back_to(checkpoint); });
  EXPECT_EQ(text_of(folder / "run/metrics.jsonl"), whole);
  directory.start_over();
  EXPECT_EQ(text_of(folder / "run/metrics.jsonl"), "");
}

// Records and configuration are those that the checkpoint was saved with, or nothing is touched.
TEST(RunDirectory, EachDisagreementWithTheCheckpointIsNamed) {
  test::TemporaryFolder folder;
  RunMark mark;
  Config config = some_config();
  {
    RunDirectory directory(folder / "run", config, OpenMode::create);
    for (int t = 1; t <= 3; ++t) directory.append(some_record(t));
    mark = directory.mark();
  }
  config.train.checkpoint_seconds = 77;
  write_atomically(folder / "run/config.toml", write_config(config));
  { RunDirectory(folder / "run", config, OpenMode::resume).require(mark); }  // no number depends on that
  config.train.lr = 0.125;
  write_atomically(folder / "run/config.toml", write_config(config));
  expect_error(ErrorKind::usage, {"config.toml was changed", "train.lr was 1.0, is 0.125", "restore"},
               [&] { RunDirectory(folder / "run", config, OpenMode::resume).go_back_to(mark); });
  std::string text = text_of(folder / "run/metrics.jsonl");
  text[text.find("0.25") + 2] = '3';  // of the second record
  write_atomically(folder / "run/metrics.jsonl", text);
  expect_error(ErrorKind::data, {"metrics.jsonl was changed", mark.metrics_sha256, sha256(text), "train.lr was 1.0"},
               [&] { RunDirectory(folder / "run", config, OpenMode::resume).go_back_to(mark); });
  EXPECT_EQ(text_of(folder / "run/metrics.jsonl"), text);
  EXPECT_EQ(RunDirectory(folder / "run", config, OpenMode::resume).go_back_to({mark.metrics_bytes, "", ""}).size(), 3u)
      << "a version before has saved neither";
}

TEST(RunDirectory, RecordsThatAreGoneWhileItRunsAreNoticed) {
  test::TemporaryFolder folder;
  const auto expect_noticed = [&](const char* part, const std::function<void(const fs::path&)>& change) {
    static int number = 0;
    const fs::path path = folder / ("run" + std::to_string(++number));
    RunDirectory directory(path, some_config(), OpenMode::create);
    directory.append(some_record(1));
    change(path);
    expect_error(ErrorKind::failed, {path.string(), part, "--out"}, [&] { directory.mark(); });
    expect_error(ErrorKind::failed, {path.string(), part}, [&] { directory.write_result({{"cer", 1}}); });
    EXPECT_FALSE(fs::exists(path / "result.json"));
  };
  expect_noticed("moved", [](const fs::path& path) { fs::rename(path, path.string() + "-elsewhere"); });
  expect_noticed("moved", [](const fs::path& path) { fs::remove_all(path); });
  expect_noticed("moved", [](const fs::path& path) { fs::remove(path / "metrics.jsonl"); });
  expect_noticed("another program", [](const fs::path& path) { fs::resize_file(path / "metrics.jsonl", 3); });
  expect_noticed("another program",
                 [](const fs::path& path) { std::ofstream(path / "metrics.jsonl", std::ios::app) << "x"; });
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
               {"another configuration", "model.width is 8 in its config.toml, 9 was given",
                "train.lr is 1.0 in its config.toml, 0.5 was given"},
               [&] { RunDirectory(folder / "run", other, OpenMode::resume); });
}

TEST(RunDirectory, ResumeNeedsARunDirectory) {
  test::TemporaryFolder folder;
  std::ofstream(folder / "config.toml") << write_config(some_config());  // of a project
  expect_error(ErrorKind::usage, {"is not a run directory", "no metrics.jsonl"},
               [&] { RunDirectory(folder.path(), some_config(), OpenMode::resume); });
  { RunDirectory(folder / "lost", some_config(), OpenMode::create); }
  fs::remove(folder / "lost/metrics.jsonl");
  fs::create_directory(folder / "lost/checkpoint");
  expect_error(ErrorKind::data, {"metrics.jsonl is missing"},
               [&] { RunDirectory(folder / "lost", some_config(), OpenMode::resume); });
  fs::create_directory(folder / "empty");
  for (const char* name : {"empty", "missing"})
    expect_error(ErrorKind::usage, {name, "is not a run directory", "config.toml"},
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
    expect_error(ErrorKind::usage, {"is in use by", "process " + std::to_string(::getpid()), host, "started 20"},
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

// A write that stops within a line, as on a full disk.
TEST(RunDirectory, ALineThatDoesNotFitIsTakenBack) {
  test::TemporaryFolder folder;
  RunDirectory directory(folder / "run", some_config(), OpenMode::create);
  directory.append(some_record(1));
  const std::uint64_t before = directory.mark().metrics_bytes;
  for (rlim_t room : {0, 1, 20}) {
    test::FileSizeLimit limit(before + room);
    expect_error(ErrorKind::failed, {"metrics.jsonl", "--resume --out"}, [&] { directory.append(some_record(2)); });
    EXPECT_EQ(directory.mark().metrics_bytes, before);
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
  expect_error(ErrorKind::failed, {"metrics.jsonl", "No space left on device", "free some space"}, fill_up);
  EXPECT_EQ(read_metrics(directory.path()).size(), static_cast<std::size_t>(t - 1));
  EXPECT_EQ(text_of(folder / "disk/run/metrics.jsonl").size(), directory.mark().metrics_bytes);
  expect_error(ErrorKind::failed, {"result.json", "No space left on device"}, [&] {
    directory.write_result({{"text", std::string(100000, 'x')}});
  });
  EXPECT_FALSE(is_finished(directory.path()));
  expect_error(ErrorKind::failed, {"disk/other", "No space left on device"},
               [&] { RunDirectory(folder / "disk/other", some_config(), OpenMode::create); });
  EXPECT_FALSE(fs::exists(folder / "disk/other"));
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
