// The real program, killed at random moments: what it leaves behind must lead to the same bits as a run without a pause.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "tests/alma/learn/text_corpus.h"
#include "tests/alma/learn/training.h"
#include "tests/alma/program.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

// A learner by its settings; bits must not depend on the threads either.
class Resume : public ::testing::Test {
 protected:
  explicit Resume(const Config::Learner& learner = {}, int threads = 1, std::string device = "cpu", int epochs = 400)
      : threads_(std::to_string(threads)), device_(std::move(device)) {
    Config config = small_config();
    config.learner = learner;
    if (learner.wait != 0) config.learner.wait = 2;
    if (learner.method == "ff") config.model.experts = 1;
    config.train.max_epochs = epochs;        // long enough to be hit in the middle of an update
    config.train.checkpoint_seconds = 0.02;  // often enough to be hit in the middle of a save
    std::ofstream(file("config.toml")) << write_config(config);
  }
  std::filesystem::path file(const std::string& name) const { return std::filesystem::path(folder_.path()) / name; }
  std::vector<std::string> start(const std::string& out) const {
    return {"run", file("config.toml"), "--device", device_, "--threads", threads_, "--quiet", "--out", file(out)};
  }
  std::vector<std::string> go_on(const std::string& out) const {
    return {"run", "--resume", "--device", device_, "--threads", threads_, "--quiet", "--out", file(out)};
  }
  Outcome run(const std::vector<std::string>& arguments) const { return run_alma(folder_.path(), arguments); }
  /// Starts the run, or lets it go on. A folder without config.toml was killed before it was a run directory.
  std::vector<std::string> start_or_go_on(const std::string& out) const {
    if (std::filesystem::exists(file(out) / "config.toml")) return go_on(out);
    std::filesystem::remove_all(file(out));
    return start(out);
  }
  /// metrics.jsonl without its times, and the final weights.
  std::pair<std::string, std::string> outcome(const std::string& out) {
    return {metrics_of(file(out)), bits(CheckpointStore(file(out) / "checkpoint").load(context_).tensors)};
  }

  void kill_at_random_moments(int count);

  TemporaryFolder folder_;
  Context context_{"cpu"};
  std::string threads_, device_;
};

void Resume::kill_at_random_moments(int count) {
  const auto before = std::chrono::steady_clock::now();
  ASSERT_EQ(run(start("straight")).code, 0);
  double whole = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  const auto expected = outcome("straight");

  // The moments are those of a fixed stream; what the program is doing then differs from run to run, as it should.
  RandomStream moments(2026, "kills");
  int kills = 0;
  for (int attempt = 0; kills < count && attempt < 20 * count; ++attempt) {
    Program program(folder_.path(), start_or_go_on("killed"));
    std::this_thread::sleep_for(std::chrono::duration<double>(whole * moments.uniform(0.02, 0.35)));
    program.signal(SIGKILL);
    const Outcome end = program.finish();
    ASSERT_TRUE(end.code == -SIGKILL || end.code == 0) << end.code << ": " << end.err;
    if (end.code == -SIGKILL) {
      ++kills;
    } else {  // it had finished: the bits must be right here too, and then again from the start
      EXPECT_EQ(outcome("killed"), expected);
      std::filesystem::remove_all(file("killed"));
      whole /= 2;  // the machine has become faster than it was
    }
  }
  ASSERT_EQ(kills, count);
  const Outcome end = run(start_or_go_on("killed"));
  ASSERT_EQ(end.code, 0) << end.err;
  const auto found = outcome("killed");
  EXPECT_EQ(found.first, expected.first);
  EXPECT_EQ(found.second, expected.second);
}

TEST_F(Resume, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }

class ResumeEns : public Resume {
 protected:
  ResumeEns() : Resume({.method = "ens", .members = 3, .bagging = true}, 2) {}
};
class ResumeUMix : public Resume {
 protected:
  ResumeUMix() : Resume({.method = "umix", .replay = true, .members = 2}) {}
};
class ResumeGEns : public Resume {
 protected:
  ResumeGEns() : Resume({.method = "gens", .members = 2}, 2) {}
};
TEST_F(ResumeEns, KilledAtRandomMomentsEndsInTheSameBits) { kill_at_random_moments(8); }
TEST_F(ResumeUMix, KilledAtRandomMomentsEndsInTheSameBits) { kill_at_random_moments(8); }
class ResumeStacked : public Resume {
 protected:
  ResumeStacked() : Resume({.method = "ens", .members = 3, .bagging = true}, 2, "cuda-sim", 20) {}
  void SetUp() override {
    if (!open_simulator()) GTEST_SKIP() << no_simulator;
  }
};
TEST_F(ResumeStacked, KilledAtRandomMomentsEndsInTheSameBits) { kill_at_random_moments(3); }
TEST_F(ResumeGEns, KilledAtRandomMomentsEndsInTheSameBits) { kill_at_random_moments(8); }

class ResumeGmoe : public Resume {
 protected:
  ResumeGmoe() : Resume({.method = "gmoe"}) {}
};
class ResumeHardGmoe : public Resume {
 protected:
  ResumeHardGmoe() : Resume({.method = "gmoe", .split = "loss", .gate = "hard"}, 1, "cpu", 200) {}
};
TEST_F(ResumeHardGmoe, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }
TEST_F(ResumeGmoe, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }

class ResumeFirefly : public Resume {
 protected:
  ResumeFirefly() : Resume({.method = "ff", .candidates = 20}) {}
};
TEST_F(ResumeFirefly, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }
class ResumeFireflyInDepth : public Resume {
 protected:
  ResumeFireflyInDepth() : Resume({.method = "ff", .grow_in = "both", .candidates = 20}) {}
};
TEST_F(ResumeFireflyInDepth, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }

class ResumeAuto : public Resume {
 protected:
  ResumeAuto() : Resume({.wait = 0}) {}
};
TEST_F(ResumeAuto, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }
class ResumeBoost : public Resume {
 protected:
  ResumeBoost() : Resume({.method = "boost"}) {}
};
TEST_F(ResumeBoost, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }
class ResumeUniformReplay : public Resume {
 protected:
  ResumeUniformReplay() : Resume({.method = "uniform-replay", .replay = true}) {}
};
class ResumeShrinkPerturb : public Resume {
 protected:
  ResumeShrinkPerturb() : Resume({.method = "shrink-perturb", .replay = true}, 1, "cpu", 200) {}
};
class ResumeDash : public Resume {
 protected:
  ResumeDash() : Resume({.method = "dash", .replay = true}, 1, "cpu", 200) {}
};
class ResumeAveraged : public Resume {
 protected:
  ResumeAveraged() : Resume({.method = "average"}) {}
};
class ResumeReservoir : public Resume {
 protected:
  ResumeReservoir() : Resume({.method = "reservoir", .memory = 40}) {}
};
TEST_F(ResumeUniformReplay, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }
TEST_F(ResumeShrinkPerturb, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }
TEST_F(ResumeDash, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }
TEST_F(ResumeAveraged, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }
TEST_F(ResumeReservoir, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }

// A Switch Transformer with all that a step draws: dropout, an order of windows, micro-batches, a schedule.
class ResumeText : public Resume {
 protected:
  explicit ResumeText(bool restart = true) {
    write_chains(file("tokens"), 30, 60);
    Config config = small_text_config(file("tokens"));
    config.learner.wait = 2;
    config.model.dropout = 0.1;
    config.train.micro_batch = 2;
    config.train.schedule = "cosine";
    config.train.warm_up = 10;
    config.train.clip = 1;
    config.train.max_steps = 400;
    config.train.restart = restart;
    config.train.checkpoint_seconds = 0.02;
    std::ofstream(file("config.toml")) << write_config(config);
  }
};
class ResumeTextGoingOn : public ResumeText {
 protected:
  ResumeTextGoingOn() : ResumeText(false) {}
};
TEST_F(ResumeText, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }
TEST_F(ResumeTextGoingOn, KilledAtTwentyRandomMomentsEndsInTheSameBits) { kill_at_random_moments(20); }

TEST_F(Resume, AnInterruptSavesExits130AndSaysHowToGoOn) {
  ASSERT_EQ(run(start("straight")).code, 0);
  Program program(folder_.path(), start("interrupted"));
  ASSERT_TRUE(
      program.wait_until([&] { return std::filesystem::exists(file("interrupted") / "checkpoint" / "state.json"); }));
  program.signal(SIGINT);
  const Outcome end = program.finish();
  ASSERT_EQ(end.code, 130) << end.err;
  EXPECT_NE(end.err.find("alma run --resume --out " + file("interrupted").string()), std::string::npos) << end.err;
  ASSERT_EQ(run(go_on("interrupted")).code, 0);
  EXPECT_EQ(outcome("interrupted"), outcome("straight"));
}

TEST_F(Resume, AFinishedRunIsOnlyReported) {
  ASSERT_EQ(run(start("run")).code, 0);
  const auto before = std::filesystem::last_write_time(file("run") / "result.json");
  ASSERT_EQ(run(go_on("run")).code, 0);
  EXPECT_EQ(std::filesystem::last_write_time(file("run") / "result.json"), before);
}

}  // namespace
}  // namespace alma::test
