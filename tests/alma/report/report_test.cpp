// What the report says: groups and their numbers, CSV, the page's data, and folders that are not what they seem. How the
// page looks is tested in a browser: report_browser_test.
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "alma/commands/commands.h"
#include "alma/report/report.h"
#include "base/files.h"
#include "tests/alma/report/report_runs.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Report = ReportRuns;

Config seeded(std::int64_t seed, std::int64_t width = 64) {
  Config config;
  config.seed = seed;
  config.model.width = width;
  return config;
}

TEST_F(Report, GroupsRunsOverSeeds) {
  make("a", {.9, .5, .5, .2}, seeded(1));
  make("b", {.9, .3, .3, .4}, seeded(0));
  make("c", {.9, .1, .1, .1}, seeded(0, 4));
  const RunCollection collection = read();
  ASSERT_EQ(collection.runs.size(), 3u);
  const auto groups = group_runs(collection.runs);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].label, "SM h=4 w=1");
  const RunGroup& two = groups[1];
  EXPECT_EQ(two.label, "SM h=64 w=1");
  ASSERT_EQ(two.runs.size(), 2u);
  EXPECT_EQ(two.runs[0]->config.seed, 0);
  // CERs 1.9 and 2.1; at w = 1 the figures' CER is 5000 / B times that.
  EXPECT_NEAR(two.cer.mean, 2.0, 1e-12);
  EXPECT_NEAR(two.cer.s, std::sqrt(.02), 1e-12);
  EXPECT_NEAR(two.cer.low, 1.9, 1e-12);
  EXPECT_NEAR(two.cer.high, 2.1, 1e-12);
  EXPECT_NEAR(two.paper_cer->mean, 2500, 1e-9);
  EXPECT_NEAR(two.final_error.mean, .3, 1e-12);
  EXPECT_EQ(two.mem, 400);
  EXPECT_EQ(two.macs, 4000);
  EXPECT_EQ(two.parameters, 100);
  // The third mega-batch brought no change.
  ASSERT_EQ(two.curve.size(), 3u);
  EXPECT_EQ(two.curve[1].t, 2);
  EXPECT_NEAR(two.curve[1].mean, .4, 1e-12);
  EXPECT_NEAR(two.curve[1].low, .3, 1e-12);
  EXPECT_NEAR(two.curve[2].high, .4, 1e-12);
  EXPECT_EQ(groups[0].cer.s, 0);
}

TEST_F(Report, LabelsTellGroupsApart) {
  Config ens = seeded(0);
  ens.learner.method = "ens";
  ens.learner.replay = true;
  make("a", {.5}, ens);
  make("b", {.5}, seeded(0));
  Config slow = seeded(0);
  slow.train.lr = 0.5;
  make("c", {.5}, slow);
  Config saved_often = seeded(1);
  saved_often.train.checkpoint_seconds = 1;  // no other point for that
  make("d", {.5}, saved_often);
  const RunCollection collection = read();
  std::vector<std::string> labels;
  for (const RunGroup& group : group_runs(collection.runs)) labels.push_back(group.label);
  std::sort(labels.begin(), labels.end());
  EXPECT_EQ(labels,
            (std::vector<std::string>{"Ens4 h=64 w=1 replay", "SM h=64 w=1 train.lr=0.5", "SM h=64 w=1 train.lr=1.0"}));
}

TEST_F(Report, NoSeedCountsTwice) {
  const fs::path first = make("a", {.9, .5}, seeded(1));
  Config saved_often = seeded(1);
  saved_often.train.checkpoint_seconds = 1;
  const fs::path copy = make("b", {.9, .5}, saved_often);
  fs::create_directory_symlink(first, root() / "another name");
  const std::vector<fs::path> folders = {first, root() / "another name", root() / "runs" / "." / "a", copy, first};
  const RunCollection collection = read_runs(folders);
  ASSERT_EQ(collection.runs.size(), 1u);
  ASSERT_EQ(collection.left_out.size(), 1u);
  EXPECT_EQ(collection.left_out[0].folder, copy);
  EXPECT_EQ(collection.left_out[0].reason.find("the same configuration and seed as "), 0u);
}

TEST_F(Report, StreamsAreNeverMixed) {
  make("a", {.9, .5});
  make("b", {.9, .5, .4});
  Config other = seeded(0);
  other.stream.dataset = "cifar10";
  other.stream.seed = 1;  // another permutation of the same stream
  make("c", {.9, .5}, other);
  other.stream.seed = 2;
  make("d", {.9, .5}, other);
  const RunCollection collection = read();
  std::vector<std::string> names;
  for (const RunGroup& group : group_runs(collection.runs)) names.push_back(group.stream + ": " + group.label);
  EXPECT_EQ(names, (std::vector<std::string>{"cifar10: SM h=64 w=1 stream.seed=1", "cifar10: SM h=64 w=1 stream.seed=2",
                                             "mnist stream.mega_batches=2: SM h=64 w=1",
                                             "mnist stream.mega_batches=3: SM h=64 w=1"}));
}

TEST_F(Report, PairsDifferInReplayAlone) {
  const auto config = [](double lr, std::int64_t wait, bool replay) {
    Config made = seeded(0);
    made.train.lr = lr;
    made.learner.wait = wait;
    made.learner.replay = replay;
    return made;
  };
  make("a", {.9, .5}, config(1, 1, false));
  make("b", {.9, .5}, config(.5, 1, false));
  make("c", {.9, .5}, config(.5, 1, true));
  make("d", {.9, .5}, config(.5, 2, true));  // nothing without replay waits like this
  const RunCollection collection = read();
  const auto groups = group_runs(collection.runs);
  const auto pairs = replay_pairs(groups);
  ASSERT_EQ(pairs.size(), 1u);
  EXPECT_EQ(groups[pairs[0].first].label, "SM h=64 w=1 train.lr=0.5");
  EXPECT_EQ(groups[pairs[0].second].label, "SM h=64 w=1 replay train.lr=0.5");
  // Curves are compared among equals: a panel has one learning rate, at every wait.
  EXPECT_EQ(groups[pairs[0].first].panel, "SM h=64 train.lr=0.5");
  EXPECT_EQ(groups.back().label, "SM h=64 w=2 replay train.lr=0.5");
}

TEST_F(Report, LongCurvesAreThinnedAndKeepTheirEnds) {
  std::vector<double> errors;
  for (int t = 1; t <= 500; ++t) errors.push_back(1.0 / t);
  make("a", errors);
  const RunCollection collection = read();
  const auto curve = group_runs(collection.runs)[0].curve;
  ASSERT_EQ(curve.size(), kCurvePoints);
  EXPECT_EQ(curve.front().t, 1);
  EXPECT_EQ(curve.back().t, 500);
  for (std::size_t i = 0; i < curve.size(); ++i) {
    EXPECT_DOUBLE_EQ(curve[i].mean, 1.0 / static_cast<double>(curve[i].t));
    EXPECT_TRUE(i == 0 || curve[i].t > curve[i - 1].t);
  }
}

TEST_F(Report, NamesWhatIsDamagedAndLeavesItOut) {
  make("good", {.9, .5});
  const auto damage = [&](const std::string& name, const std::string& file, const std::string& text) {
    std::ofstream(make(name, {.9, .5}) / file) << text;
  };
  damage("cut", "metrics.jsonl", "{\"t\": 1, \"upd");
  damage("empty", "metrics.jsonl", "");
  damage("foreign", "result.json", "[1, 2]");
  damage("other", "result.json", "{\"cer\": 7.5, \"seconds\": 1, \"device\": \"cpu\", \"level\": \"\", \"version\": \"\"}");
  damage("future", "config.toml", "[learner]\nmethod = \"oracle\"\n");
  damage("later", "config.toml", "[learner]\nfuture_key = 1\n");
  fs::remove(make("unfinished", {.9}) / "result.json");
  fs::remove(make("lost", {.9}) / "metrics.jsonl");
  fs::create_directories(root() / "runs/something/else");
  fs::create_directories(root() / "runs/locked");
  fs::create_symlink("config.toml", root() / "runs/locked/config.toml");  // a loop
  const RunCollection collection = read();
  ASSERT_EQ(collection.runs.size(), 1u);
  EXPECT_EQ(collection.runs[0].folder.filename(), "good");
  expect_left_out(collection, {{"cut", "metrics.jsonl:1"},
                               {"empty", "0 mega-batches, config.toml has 2"},
                               {"foreign", "not the result of a run"},
                               {"other", "cer is 7.5"},
                               {"future", "oracle"},
                               {"later", "future_key"},
                               {"unfinished", "alma run --resume --out"},
                               {"lost", "is missing"},
                               {"config.toml", "broken symbolic link"}});
}

TEST_F(Report, LinksLeadToRunsAndNeverInCircles) {
  const fs::path runs = root() / "runs", elsewhere = root() / "elsewhere";
  make("here", {.9, .5});
  fs::create_directories(elsewhere / "deep");
  fs::rename(make("linked", {.9, .5}, seeded(1)), elsewhere / "linked");
  fs::rename(make("below", {.9, .5}, seeded(2)), elsewhere / "deep/below");
  fs::create_directory_symlink("../elsewhere/linked", runs / "link to a run");
  fs::create_directory_symlink(elsewhere / "deep", runs / "link to a folder");
  fs::create_directory_symlink(runs / "here", runs / "link to its neighbour");
  // What leads back to where it lies, to itself, from one to the other, to nothing, and to what is no folder.
  fs::create_directory_symlink("..", runs / "upwards");
  fs::create_directory_symlink("/", runs / "the whole machine");
  fs::create_directory_symlink(elsewhere / "deep", elsewhere / "deep/upwards too");
  fs::create_symlink("itself", runs / "itself");
  fs::create_directories(root() / "pair/one");
  fs::create_directories(root() / "pair/two");
  fs::create_directory_symlink("../two", root() / "pair/one/other");
  fs::create_directory_symlink("../one", root() / "pair/two/other");
  fs::create_directory_symlink("../pair/one", runs / "pair");
  fs::create_symlink("nothing", runs / "dangling");
  fs::create_symlink(runs / "here/config.toml", runs / "file");
  const RunCollection collection = read();
  std::vector<std::string> found;
  for (const RunRecord& run : collection.runs) found.push_back(run.folder.lexically_relative(runs));
  EXPECT_EQ(found, (std::vector<std::string>{"here", "link to a folder/below", "link to a run"}));
  expect_left_out(collection, {{"upwards", "a folder that contains it"},
                               {"the whole machine", "a folder that contains it"},
                               {"upwards too", "a folder that contains it"},
                               {"itself", "a broken symbolic link: Too many levels of symbolic links"},
                               {"dangling", "a broken symbolic link: No such file or directory"}});
}

TEST_F(Report, RefusesWhatIsNoFolder) {
  std::ofstream(root() / "file") << "x";
  const auto read_one = [&](const char* name) {
    const fs::path path = root() / name;
    read_runs({&path, 1});
  };
  expect_error(ErrorKind::usage, {"file", "is not a folder"}, [&] { read_one("file"); });
  expect_error(ErrorKind::usage, {"nowhere", "does not exist"}, [&] { read_one("nowhere"); });
}

TEST_F(Report, IsOneFileWhateverTheFoldersAreCalled) {
  make("</script><script>alert(1)</script>", {.5});
  make("{{data}} \"quoted\" \xff", {.5}, seeded(1));
  const std::string page = report_page(read(), kVega);
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_NE(page.find("\\u003c/script>\\u003cscript>alert(1)"), std::string::npos);
  EXPECT_EQ(page.find("{{style}}"), std::string::npos);
  EXPECT_EQ(page.find("<script src"), std::string::npos);
  EXPECT_NE(page.find("Content-Security-Policy\" content=\"default-src 'none'"), std::string::npos);
  EXPECT_NE(page.find("UW Interactive Data Lab"), std::string::npos) << "Vega's licence";
  const json data = page_json(page);  // two runs in one group
  ASSERT_EQ(data.at("groups").size(), 1u);
  EXPECT_EQ(data["groups"][0]["runs"].size(), 2u);
  expect_error(ErrorKind::usage, {"vega-util.min.js", "libjs-vega", "ALMA_VEGA"}, [&] { report_page(read(), "/nowhere"); });
}

TEST_F(Report, WritesCsvThatOthersRead) {
  Config config = seeded(3);
  config.stream.dataset = "idx";
  config.stream.train_images = "C:\\a \"b\"\t";
  config.stream.train_labels = config.stream.test_images = config.stream.test_labels = "x";
  make("a, \"b\"", {.9, .5}, config);
  const std::string csv = report_csv(read().runs);
  const std::string head = csv.substr(0, csv.find("\r\n"));
  for (const char* name :
       {"folder,learner,seed,stream.dataset", "learner.wait", "cer,final_error,mem,comp_macs", ",seconds,device"})
    EXPECT_NE(head.find(name), std::string::npos) << head;
  EXPECT_NE(csv.find("a, \"\"b\"\"\",SM,3,idx,\"C:\\a \"\"b\"\"\t\",x,x,x,"), std::string::npos) << csv;
  EXPECT_NE(csv.find(",1.4,0.5,200,2000,"), std::string::npos) << csv;
  EXPECT_EQ(csv.substr(csv.size() - 2), "\r\n");
}

TEST_F(Report, AFailureLeavesAnOlderPage) {
  make("a", {.5});
  ReportOptions options;
  options.folders = {root() / "runs"};
  options.out = root() / "page.html";
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(report_command(options), 0);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "1 run in " + options.out.string() + "\n");
  const std::string before = read_text(options.out).value();
  ::setenv("ALMA_VEGA", "/nowhere", 1);
  expect_error(ErrorKind::usage, {"libjs-vega"}, [&] { report_command(options); });
  ::unsetenv("ALMA_VEGA");
  EXPECT_EQ(read_text(options.out).value(), before);
  options.out = root() / "no/such/folder/page.html";
  expect_error(ErrorKind::failed, {"page.html", "No such file"}, [&] { report_command(options); });
  fs::remove_all(root() / "runs/a");
  fs::create_directories(root() / "runs");
  options.out = root() / "page.html";
  expect_error(ErrorKind::usage, {"no finished run"}, [&] { report_command(options); });
}

TEST_F(Report, DrawsItsFiguresAsFiles) {
  if (std::system("node --version >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "Node.js is not installed; setup.sh --dev installs it";
  make("a", {.9, .5, .2});
  Config with_replay = seeded(0);
  with_replay.learner.replay = true;
  make("b", {.9, .4, .1}, with_replay);
  write_figures(read(), kVega, root() / "svg");
  for (const char* name : {"tradeoff-compute", "tradeoff-memory", "curves", "waits", "replay"}) {
    const std::string svg = read_text(root() / "svg" / ("mnist-" + std::string(name) + ".svg")).value_or("");
    EXPECT_EQ(svg.substr(0, 4), "<svg") << name;
    EXPECT_NE(svg.find("</svg>"), std::string::npos) << name;
  }
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", "/nowhere", 1);
  expect_error(ErrorKind::usage, {"cannot start node", "nodejs"}, [&] { write_figures(read(), kVega, root() / "svg"); });
  ::setenv("PATH", path.c_str(), 1);
}

}  // namespace
}  // namespace alma::test
