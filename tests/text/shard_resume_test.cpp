// Writers that are killed, and resumed by another process: the same bytes.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/clock.h"
#include "base/files.h"
#include "tests/alma/limits.h"
#include "tests/data/files.h"
#include "tests/text/corpus.h"
#include "text/shard.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;

ShardSettings settings_at(const std::string& prefix, ShardLayout layout) {
  ShardSettings all;
  all.prefix = prefix;
  all.vocabulary = vocabulary();
  all.layout = layout;
  all.shard_tokens = 20000;
  all.checkpoint_seconds = 0.002;
  return all;
}

std::map<std::string, std::string> files_in(const std::string& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::directory_iterator(folder)) all[entry.path().filename()] = read_text(entry.path()).value();
  return all;
}

/// Writes the corpus, or goes on with it, in a process of its own; returns whether that came to the end before it was
/// killed.
bool write_until(const ShardSettings& settings, const std::vector<Tokens>& all, double seconds) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      ShardWriter writer(settings, true);
      if (!writer.complete()) {
        write_documents(writer, all);
        writer.finish(sources());
      }
      ::_exit(0);
    } catch (const std::exception& error) {
      std::fputs(error.what(), stderr);
      ::_exit(1);
    }
  }
  ::usleep(static_cast<useconds_t>(seconds * 1e6));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  return WIFEXITED(status);
}

class ShardsKilled : public testing::TestWithParam<ShardLayout> {};

TEST_P(ShardsKilled, AtRandomMomentsEndInTheSameBytes) {
  const TemporaryFolder folder;
  const auto all = documents(3000, 120);
  const double before = steady_seconds();
  write_corpus(settings_at(folder / "straight/c", GetParam()), all);
  double whole = steady_seconds() - before;
  const auto expected = files_in(folder / "straight");

  RandomStream moments(2026, "kills");
  int kills = 0;
  for (int attempt = 0; kills < 20 && attempt < 1000; ++attempt) {
    if (!write_until(settings_at(folder / "killed/c", GetParam()), all, whole * moments.uniform(0, 0.3))) {
      ++kills;
      continue;
    }
    EXPECT_TRUE(files_in(folder / "killed") == expected);  // it was complete: begin again
    fs::remove_all(folder / "killed");
    whole *= 0.9;
  }
  EXPECT_EQ(kills, 20);
  ASSERT_TRUE(write_until(settings_at(folder / "killed/c", GetParam()), all, 20 * whole + 5));
  EXPECT_TRUE(files_in(folder / "killed") == expected);
}

INSTANTIATE_TEST_SUITE_P(Layouts, ShardsKilled, testing::Values(ShardLayout::megatron, ShardLayout::llmc),
                         [](const auto& layout) { return name_of(layout.param); });

// Between any two files: a folder of that name makes the writer stop where it would write one.
TEST(ShardsStopped, WhereverAFileCannotBeWrittenTheRestIsDoneLater) {
  const TemporaryFolder folder;
  const auto all = documents(600, 120);
  write_corpus(settings_at(folder / "straight/c", ShardLayout::megatron), all);
  const auto expected = files_in(folder / "straight");
  const ShardSettings settings = settings_at(folder / "stopped/c", ShardLayout::megatron);
  const auto write = [&] {
    ShardWriter writer(settings, true);
    write_documents(writer, all);
    writer.finish(sources());
  };
  for (const std::string name :
       {"c-00000.lengths", "c-00000.idx.part", "c-00000.idx", "c-00001.bin", "c-00001.bin.part", "c-00001.json"}) {
    fs::remove_all(folder / "stopped");
    const fs::path in_the_way = folder / ("stopped/" + name);
    fs::create_directories(in_the_way / "full");
    expect_error(ErrorKind::failed, {name.substr(0, 7)}, write);
    fs::remove_all(in_the_way);
    write();
    EXPECT_TRUE(files_in(folder / "stopped") == expected) << name;
  }
}

TEST(ShardsStopped, OnAFullDiskNothingIsLost) {
  const TemporaryFolder folder;
  auto settings = settings_at(folder / "straight/c", ShardLayout::megatron);
  settings.checkpoint_seconds = 0;
  const auto all = documents(100, 120);
  write_corpus(settings, all);
  settings.prefix = folder / "full/c";
  {
    const FileSizeLimit limit(6000);
    expect_error(ErrorKind::failed, {"c-00000.bin.part", "File too large"}, [&] { write_corpus(settings, all); });
  }
  ShardWriter writer(settings, true);
  EXPECT_GT(writer.documents(), 0);
  EXPECT_GT(writer.tokens(), writer.documents());
  EXPECT_EQ(writer.text_bytes(), 3 * (writer.tokens() - writer.documents()));
  write_documents(writer, all);
  writer.finish(sources());
  EXPECT_TRUE(files_in(folder / "full") == files_in(folder / "straight"));
}

TEST(ShardsStopped, UnfinishedFilesThatAreDamagedAreNamed) {
  const TemporaryFolder folder;
  const ShardSettings settings = settings_at(folder / "c", ShardLayout::megatron);
  {
    ShardWriter writer(settings, false);
    write_documents(writer, documents(50, 20));
    ::usleep(3000);
    writer.append(Tokens{1});
    writer.end_document(3);
  }
  const std::string progress = read_text(folder / "c.progress.json").value();
  fs::resize_file(folder / "c-00000.bin.part", 10);
  expect_error(ErrorKind::data, {"c-00000.bin.part", "shorter than", "begin again"}, [&] { ShardWriter(settings, true); });
  folder.write("c.progress.json", {'{', '}'});
  expect_error(ErrorKind::data, {"c.progress.json", "'vocabulary' not found"}, [&] { ShardWriter(settings, true); });
}

}  // namespace
}  // namespace alma::test
