#include "alma/sweep/grid.h"

#include <gtest/gtest.h>

#include <fstream>

#include "alma/sweep/estimate.h"
#include "base/error.h"
#include "tests/data/files.h"

namespace alma::test {
namespace {

std::vector<GridPoint> grid(const std::string& text) { return parse_grid(text, "s.toml", "."); }

void expect_wrong(const std::string& text, const std::vector<std::string>& parts) {
  expect_error(ErrorKind::usage, parts, [&] { grid(text); });
}

TEST(Grid, IsEveryCombinationTheLastAxisFastest) {
  const auto points = grid(
      "[set]\ntrain.max_epochs = 7\n[axes]\nseed = [0, 1]\n\"learner.wait\" = [1, 10, 25]\n"
      "[[zip]]\nlearner.method = [\"sm\", \"ens\"]\nlearner.members = [1, 4]\n");
  ASSERT_EQ(points.size(), 12u);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Config& c = points[i].config;
    EXPECT_EQ(c.train.max_epochs, 7);
    EXPECT_EQ(c.seed, static_cast<std::int64_t>(i / 6));
    EXPECT_EQ(c.learner.wait, (std::vector<std::int64_t>{1, 10, 25})[i / 2 % 3]);
    EXPECT_EQ(c.learner.method, i % 2 == 0 ? "sm" : "ens");
    EXPECT_EQ(c.learner.members, i % 2 == 0 ? 1 : 4);
  }
}

TEST(Grid, StartsFromABaseBesideTheFile) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path();
  std::ofstream(path / "base.toml") << "[model]\nwidth = 4\n[learner]\nwait = 50\n";
  std::ofstream(path / "sweep.toml") << "base = \"base.toml\"\n[axes]\nlearner.wait = [1, 2]\n";
  const auto points = load_grid(path / "sweep.toml");
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[1].config.model.width, 4);
  EXPECT_EQ(points[1].config.learner.wait, 2);
}

TEST(Grid, ExcludesWhatAgreesInAllKeys) {
  const std::string axes = "[axes]\nseed = [0, 1, 2]\ntrain.lr = [1, 0.5]\n";
  EXPECT_EQ(grid(axes).size(), 6u);
  EXPECT_EQ(grid(axes + "[[exclude]]\nseed = 1\n").size(), 4u);
  EXPECT_EQ(grid(axes + "[[exclude]]\nseed = [1, 2]\ntrain.lr = 1\n").size(), 4u);
  EXPECT_EQ(grid(axes + "[[exclude]]\nseed = 1\n[[exclude]]\ntrain.lr = 0.5\n").size(), 2u);
  EXPECT_EQ(grid(axes + "[[exclude]]\nmodel.width = 4\n").size(), 6u) << "a key that is no axis: no point has the value";
  EXPECT_EQ(
      grid("[axes]\nlearner.method = [\"sm\", \"ens\", \"umix\"]\n[[exclude]]\nlearner.method = [\"ens\", 'umix']\n").size(),
      1u);
}

TEST(Grid, HasEqualPointsOnce) { EXPECT_EQ(grid("[axes]\nseed = [3, 3]\nmodel.width = [64, 4]\n").size(), 2u); }

TEST(Grid, SaysWhatIsWrongAndWhere) {
  expect_wrong("[axes]\nlearner.wiat = [1]\n", {"learner.wiat", "s.toml:2", "learner.wait"});
  expect_wrong("[axes]\nlearner.wait = 1\n", {"learner.wait", "array", "found 1", "s.toml:2"});
  expect_wrong("[axes]\nlearner.wait = []\n", {"learner.wait", "array", "s.toml:2"});
  expect_wrong("[[zip]]\nseed = [1, 2]\nlearner.wait = [1, 2, 3]\n", {"learner.wait has 3", "seed has 2", "s.toml:3"});
  expect_wrong("[axis]\nseed = [1]\n", {"unknown part axis", "[axes]", "s.toml:1"});
  expect_wrong("base = \"nowhere.toml\"\n", {"nowhere.toml", "No such file", "s.toml:1"});
  expect_wrong("[axes]\nseed = [1]\n[[exclude]]\nseed = 1\n", {"every combination is excluded"});
  expect_wrong("[axes]\nseed = [1,\n", {"s.toml:", "not valid TOML"});
  expect_wrong("[zip]\nseed = [1]\n", {"[[zip]]", "s.toml:1"});
  expect_wrong("[axes]\nlearner.wait = [10, 900]\n",
               {"learner.wait = 900", "in the combination learner.wait=900", "[[exclude]]"});
  expect_wrong("[axes]\nmodel.width = [\"wide\"]\n", {"model.width", "must be an integer", "\"wide\""});
  std::string many = "[axes]\n";
  for (const char* key : {"seed", "stream.seed", "model.width"}) {
    many += std::string(key) + " = [";
    for (int i = 1; i <= 50; ++i) many += std::to_string(i) + ", ";
    many += "]\n";
  }
  expect_wrong(many, {"more than 100000"});
  expect_error(ErrorKind::usage, {"cannot read the sweep", "none.toml"}, [] { load_grid("none.toml"); });
}

TEST(RunName, FollowsFromTheConfigurationAlone) {
  Config config;
  config.learner.wait = 10;
  EXPECT_EQ(run_name(config), "mnist-sm-h64-w10-s0-c50665fb") << "printf 'learner.wait = 10\\n' | sha256sum";
  config.learner.method = "ens";
  config.learner.replay = true;
  EXPECT_EQ(run_name(config).substr(0, 30), "mnist-ens4-h64-w10-replay-s0-" + run_name(config).substr(29, 1));
  const std::string before = run_name(config);
  config.train.lr = 0.5;
  EXPECT_NE(run_name(config), before) << "a key that the words leave out";
}

// MNIST as the paper cuts it: 500 mega-batches of 120, 12 of them validation, 100 epochs.
TEST(Estimate, IsThePapersComputeToTheUnit) {
  Config config;
  config.stream.mega_batches = 500;
  Probe probe;
  probe.train_samples = 60'000;
  probe.test_samples = 10'000;
  probe.macs_per_sample = 7920;  // SM, h = 4
  probe.seconds_to_train = 2e-6;
  probe.seconds_to_test = 1e-6;
  for (std::int64_t wait : {1, 10, 500}) {
    config.learner.wait = wait;
    const Estimate e = estimate(config, probe);
    EXPECT_TRUE(e.train_macs == 42'768'000'000u) << wait;
    // 5.4 M samples trained; 0.6 M validated, and the test set after each update.
    EXPECT_NEAR(e.seconds, 10.8 + 0.6 + 0.01 * static_cast<double>(500 / wait), 1e-9) << wait;
  }
  // Replay multiplies compute by 25.5 with 50 updates (section 6.3 of the figures: 1.815 -> 46.29 TFLOPS).
  config.learner.wait = 10;
  config.learner.replay = true;
  EXPECT_TRUE(estimate(config, probe).train_macs * 2 == Count{42'768'000'000u} * 51);
}

TEST(Estimate, AGrowingLearnerNeedsRoomForItsMembers) {
  Config config;
  config.learner.method = "gens";
  config.learner.members = 1;
  Probe probe;
  probe.train_samples = 60'000;
  probe.parameters = 1'000'000;
  probe.bytes = 1e8;
  EXPECT_NEAR(estimate(config, probe).bytes, 1e8 + 499 * 4e6, 1) << "500 updates, 499 of them grow";
}

}  // namespace
}  // namespace alma::test
