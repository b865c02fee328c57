#include "alma/sweep/grid.h"

#include <gtest/gtest.h>

#include <fstream>

#include "alma/config/config.h"
#include "alma/sweep/estimate.h"
#include "base/error.h"
#include "base/files.h"
#include "tests/data/files.h"

namespace alma::test {
namespace {

std::vector<GridPoint> grid(const std::string& text) { return parse_grid(text, "s.toml", ".").points; }

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
  const auto points = load_grid(path / "sweep.toml").points;
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
  EXPECT_EQ(grid(axes + "[[exclude]]\nmodel.width = 64\nseed = 0\n").size(), 4u) << "... or all have it";
  EXPECT_EQ(
      grid("[axes]\nlearner.method = [\"sm\", \"ens\", \"umix\"]\n[[exclude]]\nlearner.method = [\"ens\", 'umix']\n").size(),
      1u);
}

std::vector<std::string> warnings(const std::string& text) { return parse_grid(text, "s.toml", ".").warnings; }

TEST(Grid, HasEqualPointsOnceAndSaysSo) {
  const std::string text = "[axes]\nseed = [3, 3]\nmodel.width = [64, 4]\n";
  EXPECT_EQ(grid(text).size(), 2u);
  ASSERT_EQ(warnings(text).size(), 1u);
  EXPECT_EQ(warnings(text)[0],
            "2 of 4 combinations equal others and run once, the first of them seed=3, model.width=64 (s.toml)");
  EXPECT_EQ(grid("[axes]\ntrain.lr = [1, 1.0]\n").size(), 1u) << "two spellings of one number";
  EXPECT_TRUE(warnings("[axes]\nseed = [3, 4]\n[[exclude]]\nseed = 4\n").empty());
}

TEST(Grid, ReadsEveryValueAsAConfigurationDoes) {
  // In each part, of each type, with the place where it stands.
  const auto everywhere = [](const std::string& key, const std::string& value, const std::vector<std::string>& parts) {
    const std::string one = key + " = " + value + "\n", array = key + " = [" + value + "]\n";
    for (const std::string& text :
         {"[set]\n" + one, "[axes]\n" + array, "[[zip]]\n" + array, "[[exclude]]\n" + one, "[[exclude]]\n" + array}) {
      std::vector<std::string> all = {"s.toml:2", key};
      all.insert(all.end(), parts.begin(), parts.end());
      expect_wrong(text, all);
    }
  };
  everywhere("learner.wait", "\"4\"", {"must be an integer or \"auto\", found the string \"4\""});
  everywhere("learner.wait", "4.0", {"must be an integer or \"auto\", found the number 4.0"});
  everywhere("learner.wait", "0", {"= 0 is out of range, expected 1 .. 10000000 | auto"});
  everywhere("train.math", "\"tf32\"", {"is not available"});
  everywhere("learner.method", "\"SM\"", {"is not known, expected sm | ens", "did you mean sm?"});
  everywhere("learner.method", "1", {"must be a string, found the integer 1"});
  everywhere("learner.replay", "\"true\"", {"must be true or false, found the string \"true\""});
  everywhere("stream.validation", "\"0.1\"", {"must be a number, found the string \"0.1\""});
  everywhere("train.lr", "nan", {"= nan is out of range"});
  everywhere("stream.dataset", "\"minst\"", {"did you mean mnist?"});
  everywhere("stream.seed", "2020-01-01", {"must be an integer, found a date or time"});
  expect_wrong("[set]\nlearner.wait = [4]\n", {"learner.wait must be an integer or \"auto\", found an array", "s.toml:2"});
  expect_wrong("[axes]\nlearner.wait = [[4]]\n",
               {"learner.wait must be an integer or \"auto\", found an array", "s.toml:2"});
  expect_wrong("[[exclude]]\nlearner.wait = [[4]]\n",
               {"learner.wait must be an integer or \"auto\", found an array", "s.toml:2"});
  expect_wrong("[[exclude]]\nlearner.wait = []\n", {"learner.wait must be a value or an array of values", "s.toml:2"});
  expect_wrong("[[exclude]]\nlearner.wiat = 4\n", {"unknown key learner.wiat", "did you mean learner.wait?"});
  expect_wrong("[axes]\nstream.mean = [0.1]\n", {"stream.mean must be an array of numbers, found the number 0.1"});
}

TEST(Grid, ExcludesValuesHoweverTheyAreWritten) {
  const std::string axes = "[axes]\nstream.mean = [[0.1], [0]]\n[set]\nstream.std = [1]\n";
  EXPECT_EQ(grid(axes).size(), 2u);
  for (const char* mean : {"[0]", "[0.0]", "[[0]]", "[[0.0], [7]]", "[[0, 1], [0e5]]"})
    EXPECT_EQ(grid(axes + "[[exclude]]\nstream.mean = " + mean + "\n").size(), 1u) << mean;
  EXPECT_EQ(grid("[axes]\nseed = [16, 3]\n[[exclude]]\nseed = 0x10\n").size(), 1u);
  EXPECT_EQ(grid("[axes]\nlearner.method = [\"sm\", \"umix\"]\n[[exclude]]\nlearner.method = 'umix'\n").size(), 1u);
}

TEST(Grid, AnExclusionThatMatchesNothingIsAWarning) {
  const std::string axes = "[axes]\nseed = [1, 2]\n";
  const auto found = warnings(axes + "[[exclude]]\nseed = 1\n[[exclude]]\nseed = [2]\nmodel.width = 3\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0], "[[exclude]] matches no combination (s.toml:6)");
}

TEST(Grid, LeavesOutACombinationThatWouldContradictItself) {
  const std::string axes = "[axes]\nlearner.wait = [10, 900]\n";
  expect_wrong(axes, {"learner.wait = 900"});
  EXPECT_EQ(grid(axes + "[[exclude]]\nlearner.wait = 900\n").size(), 1u);
}

TEST(Grid, NoKeyDecidesTwice) {
  expect_wrong("[set]\nseed = 1\n[axes]\nseed = [2]\n", {"seed is given twice (s.toml:2 and s.toml:4)"});
  expect_wrong("[axes]\nseed = [1]\n[[zip]]\nseed = [2]\n", {"seed is given twice (s.toml:2 and s.toml:4)"});
  expect_wrong("[axes]\nlearner.wait = [1]\n\"learner.wait\" = [2]\n", {"learner.wait is given twice"});
  expect_wrong("[axes]\nlearner.wait = [1]\n[[exclude]]\nlearner.wait = 1\n\"learner.wait\" = 2\n",
               {"learner.wait is given twice (s.toml:4 and s.toml:5)"});
}

TEST(Grid, StartsFromAConfigurationThatComesWithTheProgram) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path();
  std::ofstream(path / "sweep.toml") << "base = \"mnist-sm-h4.toml\"\n";
  const Config shipped = load_config(ALMA_SOURCE_DIR "/alma/configs/mnist-sm-h4.toml");
  EXPECT_TRUE(differences(load_grid(path / "sweep.toml").points.at(0).config, shipped).empty());
  // A file of one's own goes first.
  std::ofstream(path / "mnist-sm-h4.toml") << "[model]\nwidth = 5\n";
  EXPECT_EQ(load_grid(path / "sweep.toml").points.at(0).config.model.width, 5);
  // One that is there and cannot be used is not passed over.
  std::filesystem::remove(path / "mnist-sm-h4.toml");
  std::filesystem::create_directory(path / "mnist-sm-h4.toml");
  expect_error(ErrorKind::usage, {"cannot read base = \"mnist-sm-h4.toml\"", "directory"},
               [&] { load_grid(path / "sweep.toml"); });
  expect_wrong("base = \"mnist-sm-h5.toml\"\n", {"./mnist-sm-h5.toml", "come with alma", "mnist-sm-h4.toml"});
}

// README's example runs as it is printed.
TEST(Grid, OfTheReadme) {
  const std::string readme = *read_text(ALMA_SOURCE_DIR "/README.md");
  const std::size_t begin = readme.find("```toml\nbase = ");
  ASSERT_NE(begin, std::string::npos);
  const std::size_t first = begin + 8, end = readme.find("```", first);
  const TemporaryFolder folder;
  std::ofstream(std::filesystem::path(folder.path()) / "that.toml") << readme.substr(first, end - first);
  const Grid grid = load_grid(std::filesystem::path(folder.path()) / "that.toml");
  EXPECT_GT(grid.points.size(), 1u);
  EXPECT_TRUE(grid.warnings.empty());
}

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

// gMoE, w = 50, 10 and 25: the figures' .158, .668 and .285 TFLOP (paper.md 6.4).
TEST(Estimate, OfAModelThatGrowsIsThePapersCompute) {
  Config config;
  config.learner.method = "gmoe";
  config.model.experts = 2;
  config.stream.mega_batches = 500;
  Probe probe;
  probe.train_samples = 60'000;
  probe.macs_per_sample = 7920;                         // h = 4
  probe.macs_per_growth = 784 * (4 + 2) + 4 * (4 + 2);  // an expert and a gate of two scores in both layers
  probe.seconds_to_train = 1e-6;
  for (const auto& [wait, teraflops] : {std::pair{50, 0.158}, std::pair{10, 0.668}, std::pair{25, 0.285}}) {
    config.learner.wait = wait;
    const Estimate e = estimate(config, probe);
    EXPECT_NEAR(static_cast<double>(e.train_macs) * 1e-12, teraflops, 0.0005) << wait;
    EXPECT_NEAR(e.seconds, static_cast<double>(e.train_macs) / 7920 * 1e-6, 1e-9) << wait;
  }
  config.learner.most_experts = 2;
  EXPECT_TRUE(estimate(config, probe).train_macs == 42'768'000'000u) << "no room to grow";
}

// VGG19 of width h costs 16,848 h^2 + 33,450 h, which is 403,368 at h = 4 and 4,848,288 at h = 16 (paper.md 5). Firefly at w
// = 10 has the widths 4 (1 + .6 t), t = 0 .. 9: sums of 37 for f and 166.6 for f^2.
TEST(Estimate, OfANetworkThatGrowsInWidth) {
  Config config;
  config.learner.method = "ff";
  config.learner.wait = 10;
  config.stream.mega_batches = 100;
  Probe probe;
  probe.train_samples = 50'000;
  probe.macs_per_sample = 403'368;
  probe.macs_per_growth = 904'174 - 403'368;  // h = 6.4
  probe.seconds_to_train = 1e-6;
  probe.seconds_to_grow = 1e-3;
  const double sum = 16'848 * 16 * 166.6 + 33'450 * 4 * 37;
  const Estimate e = estimate(config, probe);
  EXPECT_NEAR(static_cast<double>(e.train_macs), sum * 450'000, 1e-5 * sum * 450'000);
  EXPECT_NEAR(e.seconds, sum / 403'368 * 0.45 + 9 * 4.5, 1e-3);
  config.learner.grow_every = 3;  // at updates 3, 6 and 9, by the ratios of these
  const double f3 = 2.8 / 2.2, f6 = f3 * 4.6 / 4, f9 = f6 * 6.4 / 5.8;
  const auto macs = [](double f) { return 16'848 * 16 * f * f + 33'450 * 4 * f; };
  const double fewer = 450'000 * (3 * macs(1) + 3 * macs(f3) + 3 * macs(f6) + macs(f9));
  EXPECT_NEAR(static_cast<double>(estimate(config, probe).train_macs), fewer, 1e-5 * fewer);
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
