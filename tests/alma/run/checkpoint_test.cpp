#include "alma/run/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/checksum.h"
#include "base/files.h"
#include "tests/alma/limits.h"
#include "tests/data/files.h"

namespace alma {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_error;

std::string text_of(const fs::path& path) { return read_text(path).value(); }
void write_text(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() : folder_(temporary_ / "checkpoint") {}

  std::vector<NamedTensor> tensors(float value, int count = 5) {
    return {{"weight", Tensor::full(context_, {count}, DType::f32, value)},
            {"empty", Tensor::zeros(context_, {0, 3}, DType::f32)},
            {"steps", Tensor::from(context_, {2}, std::vector<std::int32_t>{static_cast<int>(value), -1})}};
  }
  static json state(int epoch) { return {{"epoch", epoch}, {"best", 0.1 * epoch}, {"macs", "12345678901234567890123"}}; }
  static RunMark mark(int n) { return {static_cast<std::uint64_t>(100 * n), "sum of " + std::to_string(n), "seed = 1\n"}; }
  /// Saves generation n, recognisable by its content.
  void save(CheckpointStore& store, int n) { store.save(tensors(static_cast<float>(n)), state(n), mark(n)); }

  /// Loads with a fresh store and expects generation n, from the newest files or from the ones before.
  void expect_generation(int n, bool fallback, const fs::path& folder) {
    CheckpointStore store(folder);
    const Checkpoint found = store.load(context_);
    EXPECT_EQ(found.generation, n);
    EXPECT_EQ(found.state, state(n));
    EXPECT_EQ(found.mark.metrics_bytes, mark(n).metrics_bytes);
    EXPECT_EQ(found.mark.metrics_sha256, mark(n).metrics_sha256);
    EXPECT_EQ(found.mark.config, mark(n).config);
    ASSERT_EQ(found.tensors.size(), 3u);
    for (const auto& [name, tensor] : found.tensors) {
      if (name == "weight") {
        EXPECT_EQ(tensor.to_vector<float>(), std::vector<float>(5, static_cast<float>(n)));
      } else if (name == "steps") {
        EXPECT_EQ(tensor.to_vector<std::int32_t>(), (std::vector<std::int32_t>{n, -1}));
      } else {
        EXPECT_EQ(tensor.shape(), (Shape{0, 3}));
      }
    }
    EXPECT_EQ(!found.note.empty(), fallback) << found.note;
  }
  void expect_generation(int n, bool fallback = false) { expect_generation(n, fallback, folder_); }

  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.insert(entry.path().filename());
    return names;
  }
  /// The error of load() with everything damaged must say so and name the parts.
  void expect_unusable(const std::vector<std::string>& parts) {
    CheckpointStore store(folder_);
    expect_error(ErrorKind::data, parts, [&] { store.load(context_); });
  }

  test::TemporaryFolder temporary_;
  fs::path folder_;
  Context context_;
};

TEST_F(CheckpointTest, KeepsTheNewestAndTheOneBefore) {
  CheckpointStore store(folder_);
  EXPECT_FALSE(store.exists());
  save(store, 1);
  EXPECT_TRUE(store.exists());
  EXPECT_EQ(files(), (std::set<std::string>{"state.json", "weights-1.safetensors"}));
  expect_generation(1);
  for (int n = 2; n <= 4; ++n) {
    save(store, n);
    expect_generation(n);
    const auto weights = [](int generation) { return "weights-" + std::to_string(generation) + ".safetensors"; };
    EXPECT_EQ(files(), (std::set<std::string>{"state.json", "state.previous.json", weights(n - 1), weights(n)}));
  }
}

TEST_F(CheckpointTest, NothingSavedIsNothingToLoad) {
  expect_unusable({"no usable checkpoint in", folder_.string(), "state.json", "No such file"});
  EXPECT_FALSE(CheckpointStore(folder_).exists());
}

TEST_F(CheckpointTest, AFreshStoreGoesOnCounting) {
  {
    CheckpointStore store(folder_);
    save(store, 1);
  }
  CheckpointStore store(folder_);
  save(store, 2);
  expect_generation(2);
  EXPECT_TRUE(files().contains("weights-1.safetensors"));
}

TEST_F(CheckpointTest, StateMustBeFinite) {
  CheckpointStore store(folder_);
  save(store, 1);
  const json bad = {{"best", -std::numeric_limits<double>::infinity()}};
  expect_error(ErrorKind::failed, {"not finite"}, [&] { store.save(tensors(2), bad, {}); });
  expect_generation(1);
  EXPECT_EQ(files(), (std::set<std::string>{"state.json", "weights-1.safetensors"}));
}

TEST_F(CheckpointTest, EveryFlippedByteIsNoticed) {
  CheckpointStore store(folder_);
  save(store, 1);
  save(store, 2);
  for (const char* name : {"state.json", "weights-2.safetensors"}) {
    const std::string whole = text_of(folder_ / name);
    for (std::size_t at = 0; at < whole.size(); ++at)
      for (int bit : {0, 5, 7}) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
        write_text(folder_ / name, damaged);
        Checkpoint found;
        ASSERT_NO_THROW(found = CheckpointStore(folder_).load(context_)) << name << " byte " << at;
        ASSERT_EQ(found.generation, 1) << name << " byte " << at << " bit " << bit;
        ASSERT_NE(found.note.find(name), std::string::npos) << found.note;
      }
    write_text(folder_ / name, whole);
  }
  expect_generation(2);
}

TEST_F(CheckpointTest, EveryTruncationIsNoticed) {
  CheckpointStore store(folder_);
  save(store, 1);
  save(store, 2);
  for (const char* name : {"state.json", "weights-2.safetensors"}) {
    const std::string whole = text_of(folder_ / name);
    for (std::size_t length = 0; length < whole.size(); ++length) {
      write_text(folder_ / name, whole.substr(0, length));
      ASSERT_EQ(CheckpointStore(folder_).load(context_).generation, 1) << name << " cut to " << length;
    }
    write_text(folder_ / name, whole + "x");
    expect_generation(1, true);
    write_text(folder_ / name, whole);
  }
}

TEST_F(CheckpointTest, MissingFilesAreNoticed) {
  CheckpointStore store(folder_);
  save(store, 1);
  save(store, 2);
  for (const char* name : {"state.json", "weights-2.safetensors"}) {
    const std::string whole = text_of(folder_ / name);
    fs::remove(folder_ / name);
    EXPECT_TRUE(CheckpointStore(folder_).exists());
    expect_generation(1, true);
    write_text(folder_ / name, whole);
  }
  fs::remove(folder_ / "state.previous.json");
  expect_generation(2);
}

TEST_F(CheckpointTest, BothDamagedSaysWhatAndWhatToDo) {
  CheckpointStore store(folder_);
  save(store, 1);
  save(store, 2);
  write_text(folder_ / "weights-1.safetensors", "x");
  write_text(folder_ / "state.json", "{}");
  expect_unusable(
      {"no usable checkpoint", "state.json", "checksum", "weights-1.safetensors has 1 bytes, expected", "--out"});
}

TEST_F(CheckpointTest, SavingAfterAFallbackKeepsTheGoodGeneration) {
  {
    CheckpointStore store(folder_);
    save(store, 1);
    save(store, 2);
  }
  write_text(folder_ / "weights-2.safetensors", "x");
  for (bool load_first : {true, false}) {
    const fs::path copy = temporary_ / (load_first ? "loaded" : "unread");
    fs::copy(folder_, copy, fs::copy_options::recursive);
    CheckpointStore store(copy);
    if (load_first) {
      EXPECT_EQ(store.load(context_).generation, 1);
    }
    save(store, 3);
    expect_generation(3, false, copy);
    fs::remove(copy / "state.json");
    expect_generation(1, true, copy);
  }
}

// What a process leaves behind that is killed between any two steps of saving generation 3.
TEST_F(CheckpointTest, AKillBetweenTheStepsLosesNothing) {
  CheckpointStore store(folder_);
  save(store, 1);
  save(store, 2);
  const fs::path after = temporary_ / "after";
  fs::copy(folder_, after, fs::copy_options::recursive);
  CheckpointStore next(after);
  save(next, 3);
  const std::string weights3 = text_of(after / "weights-3.safetensors"), state3 = text_of(after / "state.json");

  const auto expect_both = [&](const char* step) {  // the newest is whole, and so is the one before if the newest is lost
    SCOPED_TRACE(step);
    expect_generation(2);
    const fs::path copy = temporary_ / "copy";
    fs::remove_all(copy);
    fs::copy(folder_, copy, fs::copy_options::recursive);
    CheckpointStore resumed(copy);
    EXPECT_EQ(resumed.load(context_).generation, 2);
    save(resumed, 4);
    CheckpointStore reread(copy);
    EXPECT_EQ(reread.load(context_).state, state(4));
    for (const auto& entry : fs::directory_iterator(copy))
      EXPECT_FALSE(entry.path().filename() == "weights-3.safetensors" || is_temporary(entry.path())) << entry.path();
  };
  write_text(folder_ / "weights-3.safetensors", weights3.substr(0, 40));
  expect_both("half of the tensor file");
  write_text(folder_ / "weights-3.safetensors", weights3);
  expect_both("the tensor file");
  fs::copy_file(folder_ / "state.json", folder_ / "state.previous.json", fs::copy_options::overwrite_existing);
  expect_both("the current state is the previous one");
  write_text(folder_ / ".alma-0123456789abcdef.tmp", state3.substr(0, 30));
  expect_both("half of the new state");
  write_text(folder_ / ".alma-0123456789abcdef.tmp", state3);
  expect_both("the new state, not renamed");
  fs::rename(folder_ / ".alma-0123456789abcdef.tmp", folder_ / "state.json");
  expect_generation(3);
  fs::remove(folder_ / "weights-3.safetensors");
  expect_generation(2, true);
}

TEST_F(CheckpointTest, AFileThatDoesNotFitLeavesThePreviousGeneration) {
  CheckpointStore store(folder_);
  save(store, 1);
  save(store, 2);
  const auto before = files();
  for (rlim_t limit : {0, 8, 60, 200, 400}) {  // within the tensor file, then within the state
    test::FileSizeLimit too_small(limit);
    expect_error(ErrorKind::failed, {folder_.string()}, [&] { save(store, 3); });
    EXPECT_EQ(files(), before);
  }
  expect_generation(2);
  save(store, 3);
  expect_generation(3);
}

TEST_F(CheckpointTest, AFullDiskLeavesThePreviousGeneration) {
  test::SmallDisk disk(temporary_ / "disk", 256);
  if (!disk.problem().empty()) GTEST_SKIP() << disk.problem();
  const fs::path folder = temporary_ / "disk/checkpoint";
  CheckpointStore store(folder);
  save(store, 1);
  save(store, 2);
  const auto expect_refused = [&](int kibibytes_free, int count) {
    SCOPED_TRACE(kibibytes_free);
    disk.fill(kibibytes_free);
    expect_error(ErrorKind::failed, {"No space left on device", "--resume"},
                 [&] { store.save(tensors(3, count), state(3), mark(3)); });
    expect_generation(2, false, folder);
  };
  expect_refused(64, 20000);
  expect_refused(16, 4000);  // the tensor file fits into four pages, the state beside it does not
  expect_refused(4, 20000);
  expect_refused(0, 5);
  fs::remove(temporary_ / "disk/filler");
  save(store, 3);
  expect_generation(3, false, folder);
}

std::string with_sum(json body) {
  body.erase("sha256");
  body["sha256"] = sha256(body.dump(2));
  return body.dump(2) + "\n";
}

TEST_F(CheckpointTest, VerifyReadsEveryByteAndNoTensor) {
  CheckpointStore store(folder_);
  save(store, 1);
  save(store, 2);
  EXPECT_EQ(store.verify().mark.metrics_bytes, 200u);
  std::string weights = text_of(folder_ / "weights-2.safetensors");
  weights.back() = static_cast<char>(weights.back() ^ 1);
  write_text(folder_ / "weights-2.safetensors", weights);
  const Checkpoint found = store.verify();
  EXPECT_EQ(found.generation, 1);
  EXPECT_NE(found.note.find("weights-2.safetensors has SHA-256"), std::string::npos) << found.note;
}

// Made by the version before: no sum of the records, no configuration.
TEST_F(CheckpointTest, AStateWithoutDigestsIsRead) {
  CheckpointStore store(folder_);
  save(store, 1);
  json body = json::parse(text_of(folder_ / "state.json"));
  body.erase("metrics_sha256");
  body.erase("config");
  write_text(folder_ / "state.json", with_sum(body));
  const Checkpoint found = CheckpointStore(folder_).load(context_);
  EXPECT_EQ(found.mark.metrics_bytes, 100u);
  EXPECT_TRUE(found.mark.metrics_sha256.empty() && found.mark.config.empty() && found.note.empty());
}

// While a state file cannot be read nobody knows which tensors it names.
TEST_F(CheckpointTest, NothingIsRemovedThatAStateFileMayName) {
  CheckpointStore store(folder_);
  for (int n = 1; n <= 3; ++n) save(store, n);
  fs::remove(folder_ / "state.previous.json");
  fs::create_directory(folder_ / "state.previous.json");  // cannot be read as a file, nor replaced
  EXPECT_THROW(save(store, 4), Error);
  EXPECT_TRUE(files().contains("weights-2.safetensors") && files().contains("weights-3.safetensors"));
  expect_generation(3);
  write_text(folder_ / "weights-1.safetensors", "old");
  fs::remove(folder_ / "state.previous.json");
  write_text(folder_ / "state.previous.json", "{");
  CheckpointStore again(folder_);
  save(again, 4);
  EXPECT_FALSE(files().contains("weights-1.safetensors")) << "both state files can be read again";
  expect_generation(4);
}

TEST_F(CheckpointTest, WhatIsNoPlainFileIsDamageAndNeverWaitedFor) {
  CheckpointStore store(folder_);
  save(store, 1);
  save(store, 2);
  fs::remove(folder_ / "state.json");
  ASSERT_EQ(::mkfifo((folder_ / "state.json").c_str(), 0600), 0);
  expect_generation(1, true);
}

TEST_F(CheckpointTest, NumbersAndNamesInAStateAreChecked) {
  CheckpointStore store(folder_);
  save(store, 1);
  const json good = json::parse(text_of(folder_ / "state.json"));
  const auto expect_refused = [&](const char* key, json value, const std::string& part) {
    json body = good;
    body[json::json_pointer(key)] = std::move(value);
    write_text(folder_ / "state.json", with_sum(body));
    expect_unusable({"state.json", part});
  };
  expect_refused("/metrics_bytes", 92233720368547758071.0, "metrics_bytes is 9.22");
  expect_refused("/metrics_bytes", std::numeric_limits<std::uint64_t>::max(), "metrics_bytes is 18446744073709551615");
  expect_refused("/metrics_bytes", -1, "metrics_bytes is -1");
  expect_refused("/generation", "1", "generation is \"1\"");
  expect_refused("/weights/bytes", 0.5, "bytes is 0.5");
  expect_refused("/weights/file", "../weights-1.safetensors", "which is not the tensor file of its generation, 1");
  expect_refused("/generation", 9, "which is not the tensor file of its generation, 9");
  expect_refused("/weights", 7, "a JSON object");
  write_text(folder_ / "state.json", std::string(300000, '[') + std::string(300000, ']'));
  expect_unusable({"state.json", "nested deeper"});
}

}  // namespace
}  // namespace alma
