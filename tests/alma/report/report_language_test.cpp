// What the report says of language models, of runs that have the numbers of Caccia et al. 2022: Fig. 5, Tables 1 and 2. How
// it looks is tested in a browser: report_browser_test.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "alma/report/report.h"
#include "base/files.h"
#include "tests/alma/report/report_runs.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class LanguageReport : public ReportRuns {
 protected:
  void make_runs_of_the_paper() const;
};

// A language model of Caccia et al. 2022, Fig. 5, which has the numbers of its Table 2.
struct PaperLearner {
  const char *name, *method;
  std::int64_t width, experts, members;
  std::vector<double> ppl;  // after mega-batches 1 .. 4
  double average;
  std::vector<double> params;      // millions after 1 .. 4
  std::vector<double> experts_at;  // of a layer in all members
  int models_trained;              // at once; what a mega-batch costs is proportional to it
};
const std::vector<PaperLearner> kPaper = {
    {"SM4", "sm", 512, 4, 1, {28.57, 27.45, 26.91, 26.53}, 27.365, {65, 65, 65, 65}, {4, 4, 4, 4}, 1},
    {"SM8", "sm", 512, 8, 1, {26.29, 25.29, 24.74, 24.40}, 25.18, {91, 91, 91, 91}, {8, 8, 8, 8}, 1},
    {"SM12", "sm", 512, 12, 1, {25.63, 24.70, 24.17, 23.78}, 24.57, {116, 116, 116, 116}, {12, 12, 12, 12}, 1},
    {"Ens4@2", "ens", 512, 4, 2, {26.20, 25.12, 24.57, 24.35}, 25.06, {130, 130, 130, 130}, {8, 8, 8, 8}, 2},
    {"Ens4@4", "ens", 512, 4, 4, {25.03, 24.03, 23.45, 23.29}, 23.95, {260, 260, 260, 260}, {16, 16, 16, 16}, 4},
    {"gEns4", "gens", 512, 4, 1, {28.57, 26.27, 25.41, 25.01}, 26.315, {65, 130, 195, 260}, {4, 8, 12, 16}, 1},
    {"gMoE4", "gmoe", 512, 4, 1, {28.57, 26.46, 25.66, 25.28}, 26.493, {65, 78, 91, 116}, {4, 6, 8, 12}, 1},
    {"SM4", "sm", 768, 4, 1, {22.47, 21.62, 20.84, 20.54}, 21.367, {210, 210, 210, 210}, {4, 4, 4, 4}, 1},
    {"SM8", "sm", 768, 8, 1, {21.52, 20.38, 19.64, 19.22}, 20.19, {323, 323, 323, 323}, {8, 8, 8, 8}, 1},
    {"SM12", "sm", 768, 12, 1, {21.63, 20.26, 19.44, 18.98}, 20.078, {436, 436, 436, 436}, {12, 12, 12, 12}, 1},
    {"Ens4@2", "ens", 768, 4, 2, {20.32, 19.55, 19.14, 18.92}, 19.483, {420, 420, 420, 420}, {8, 8, 8, 8}, 2},
    {"Ens4@4", "ens", 768, 4, 4, {19.27, 18.52, 18.22, 18.07}, 18.52, {840, 840, 840, 840}, {16, 16, 16, 16}, 4},
    {"gEns4", "gens", 768, 4, 1, {22.47, 20.25, 19.49, 19.18}, 20.347, {210, 420, 630, 840}, {4, 8, 12, 16}, 1},
    {"gMoE4", "gmoe", 768, 4, 1, {22.47, 21.22, 20.39, 20.15}, 21.057, {210, 266, 323, 436}, {4, 6, 8, 12}, 1},
};
// FLOPs of a mega-batch: 3.41e6 TFLOP of a model of width 512, 9.46e6 of 768.
Count paper_flops(const PaperLearner& learner) {
  return static_cast<Count>(learner.models_trained) * (learner.width == 512 ? 341 : 946) * Count{10'000'000'000'000'000};
}

void LanguageReport::make_runs_of_the_paper() const {
  for (const PaperLearner& learner : kPaper) {
    std::vector<MegaBatchRecord> records(4);
    for (std::size_t i = 0; i < 4; ++i) {
      records[i].t = static_cast<std::int64_t>(i) + 1;
      records[i].updated = true;
      records[i].ppl = learner.ppl[i];
      records[i].params = static_cast<std::int64_t>(learner.params[i] * 1e6);
      records[i].train_flops = paper_flops(learner) * (i + 1);
      if (learner.method == std::string("gmoe")) records[i].experts = static_cast<std::int64_t>(learner.experts_at[i]);
    }
    Config config = language(learner.method, learner.experts, learner.members);
    config.model.width = learner.width;
    write(learner.name + std::string("-") + std::to_string(learner.width), records, config);
  }
  // Table 1: before its update a learner that waits is no better than a guess among 51,200 tokens. What it makes of the last
  // mega-batch alone, at w = 3, is not known.
  const double guess = 51'200;
  const auto wait = [&](std::int64_t width, std::int64_t k, const std::vector<double>& ppl) {
    Config config = language("ens", 4, 2);
    config.model.width = width;
    config.learner.wait = k;
    make_language("waits-" + std::to_string(width) + "-" + std::to_string(k), ppl, config);
  };
  wait(512, 3, {guess, guess, 24.30, 24.2});
  wait(512, 4, {guess, guess, guess, 24.13});
  wait(768, 3, {guess, guess, 18.04, 18.0});
  wait(768, 4, {guess, guess, guess, 17.88});
}

TEST_F(LanguageReport, LanguageModelsHaveTheStagesOfThePapersFigure5) {
  make_runs_of_the_paper();
  const RunCollection collection = read();
  EXPECT_TRUE(collection.left_out.empty()) << collection.left_out[0].reason;
  const auto groups = group_runs(collection.runs);
  ASSERT_EQ(groups.size(), kPaper.size() + 4);
  for (const PaperLearner& learner : kPaper) {
    const std::string label = learner.name + std::string(" h=") + std::to_string(learner.width) + " w=1";
    SCOPED_TRACE(label);
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const RunGroup& g) { return g.label == label; });
    ASSERT_NE(group, groups.end());
    EXPECT_EQ(group->stream, "text");
    ASSERT_EQ(group->stages.size(), 4u);
    // The paper's averages are rounded to three digits, so that 26.4925 is 26.493.
    EXPECT_NEAR(group->stages.back().mean_ppl.mean, learner.average, 0.0005 + 1e-9);
    double ppl = 0, params = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const Stage& stage = group->stages[i];
      ppl += learner.ppl[i], params += learner.params[i];
      EXPECT_EQ(stage.t, static_cast<std::int64_t>(i) + 1);
      EXPECT_EQ(stage.ppl.mean, learner.ppl[i]);
      EXPECT_NEAR(stage.mean_ppl.mean, ppl / static_cast<double>(i + 1), 1e-9);
      EXPECT_EQ(stage.mean_ppl.s, 0);
      EXPECT_NEAR(stage.params, 1e6 * params / static_cast<double>(i + 1), 1);
      EXPECT_NEAR(stage.flops / static_cast<double>(paper_flops(learner)), static_cast<double>(i + 1), 1e-12);
      EXPECT_EQ(stage.experts, learner.experts_at[i]);
      EXPECT_EQ(group->curve[i].mean, learner.ppl[i]);
    }
  }
  // As the paper's axis has them.
  const auto at = [&](const char* label) {
    return *std::find_if(groups.begin(), groups.end(), [&](const RunGroup& g) { return g.label == label; });
  };
  const double params[] = {65e6, 71.5e6, 78e6, 87.5e6};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(at("gMoE4 h=512 w=1").stages[i].params, params[i], 1);
  EXPECT_NEAR(at("Ens4@4 h=512 w=1").stages[3].flops, 54.56e18, 1e9);
}

TEST_F(LanguageReport, LearningOneByOneIsHeldAgainstLearningTheUnion) {
  make_runs_of_the_paper();
  Config replays = language("ens", 4, 2);
  replays.learner.replay = true;  // no rows of the table
  make_language("replay-1", {26, 25, 24, 23}, replays);
  replays.learner.wait = 3;
  make_language("replay-3", {99, 99, 24, 23}, replays);
  Config alone = language("sm", 2);
  alone.learner.wait = 2;  // nothing like it has learned one by one
  make_language("alone", {99, 24, 24, 23}, alone);
  Config images;
  make("images-1", {.9, .5, .4, .3}, images);
  images.learner.wait = 2;
  make("images-2", {.9, .5, .5, .3}, images);
  const RunCollection collection = read();
  const auto groups = group_runs(collection.runs);
  std::vector<std::string> rows;
  for (const UnionPair& pair : union_pairs(groups)) {
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, " k=%d %.2f %.2f", static_cast<int>(pair.k), pair.iid_ppl.mean,
                  pair.sequential_ppl.mean);
    rows.push_back(groups[pair.sequential].label + " / " + groups[pair.iid].label + numbers);
  }
  std::sort(rows.begin(), rows.end());
  EXPECT_EQ(rows, (std::vector<std::string>{"Ens4@2 h=512 w=1 / Ens4@2 h=512 w=3 k=3 24.30 24.57",
                                            "Ens4@2 h=512 w=1 / Ens4@2 h=512 w=4 k=4 24.13 24.35",
                                            "Ens4@2 h=768 w=1 / Ens4@2 h=768 w=3 k=3 18.04 19.14",
                                            "Ens4@2 h=768 w=1 / Ens4@2 h=768 w=4 k=4 17.88 18.92"}));
}

TEST_F(LanguageReport, PerplexitiesAreMeanAndSpreadOverSeeds) {
  Config config = language("gens", 3, 2);
  config.learner.grow_every = 2;
  make_language("a", {10, 6, 5}, config);
  config.seed = 1;
  make_language("b", {12, 6, 3}, config);
  make_language("unknown", {10, 6, 5}, language("gmoe"));  // grows, and does not say to how many experts
  const RunCollection collection = read();
  const auto groups = group_runs(collection.runs);
  ASSERT_EQ(groups.size(), 2u);
  const RunGroup& two = groups[0];
  EXPECT_EQ(two.label, "gEns3@2 h=512 w=1");
  EXPECT_EQ(two.stages[0].ppl.mean, 11);
  EXPECT_NEAR(two.stages[0].ppl.s, std::sqrt(2.0), 1e-12);
  EXPECT_NEAR(two.stages[1].mean_ppl.mean, 8.5, 1e-12);  // 8 and 9
  EXPECT_NEAR(two.stages[1].mean_ppl.s, std::sqrt(.5), 1e-12);
  EXPECT_NEAR(two.stages[2].mean_ppl.mean, 7, 1e-12);  // 7 and 7
  EXPECT_NEAR(two.stages[2].mean_ppl.s, 0, 1e-12);
  EXPECT_EQ(two.curve[2].low, 3);
  EXPECT_EQ(two.curve[2].high, 5);
  // Two members of three experts, and two more at the third update.
  EXPECT_EQ(two.stages[1].experts, 6);
  EXPECT_EQ(two.stages[2].experts, 12);
  EXPECT_EQ(groups[1].stages[2].experts, 0);
}

TEST_F(LanguageReport, ManyStagesAreThinnedAlike) {
  std::vector<double> falling, level(250, 20.0);
  for (int t = 1; t <= 250; ++t) falling.push_back(20 + 100.0 / t);
  make_language("a", falling);
  make_language("b", level, language("sm", 8));
  const RunCollection collection = read();
  const auto groups = group_runs(collection.runs);
  ASSERT_EQ(groups.size(), 2u);
  ASSERT_EQ(groups[0].stages.size(), kCurvePoints);
  ASSERT_EQ(groups[1].stages.size(), kCurvePoints);
  for (std::size_t i = 0; i < kCurvePoints; ++i) EXPECT_EQ(groups[0].stages[i].t, groups[1].stages[i].t);
  EXPECT_EQ(groups[0].stages.front().t, 1);
  EXPECT_EQ(groups[0].stages.back().t, 250);
}

TEST_F(LanguageReport, NamesDamagedLanguageModelsAndLeavesThemOut) {
  make_language("good", {30, 20});
  make_language("diverged", {1e308, 1.7e308}, language("sm", 8));  // and good: numbers that add up to more than a double
  int seed = 0;
  const auto damage = [&](const char* name, const char* file, const std::string& before, const std::string& after) {
    Config config = language();
    config.seed = ++seed;
    const fs::path path = make_language(name, {30, 20}, config) / file;
    std::string text = read_text(path).value();
    ASSERT_NE(text.find(before), std::string::npos) << before << " in " << text;
    text.replace(text.find(before), before.size(), after);
    std::ofstream(path) << text;
  };
  damage("mixed", "metrics.jsonl", "\"ppl\":20.0", "\"error\":0.5");
  damage("both", "metrics.jsonl", "\"ppl\":20.0", "\"ppl\":20.0,\"error\":0.5");
  damage("neither", "metrics.jsonl", "\"ppl\":20.0,", "");
  damage("small", "metrics.jsonl", "\"ppl\":20.0", "\"ppl\":0.5");
  damage("huge", "metrics.jsonl", "\"ppl\":20.0", "\"ppl\":1e999");
  damage("word", "metrics.jsonl", "\"ppl\":20.0", "\"ppl\":\"</script>\"");
  damage("null", "metrics.jsonl", "\"ppl\":20.0", "\"ppl\":null");
  damage("no experts", "metrics.jsonl", "\"ppl\":20.0", "\"experts\":0,\"ppl\":20.0");
  damage("part of an expert", "metrics.jsonl", "\"ppl\":20.0", "\"experts\":1e300,\"ppl\":20.0");
  damage("another", "metrics.jsonl", "\"ppl\":20.0", "\"ppl\":21.0");
  damage("mean", "result.json", "\"mean_ppl\": 25.0", "\"mean_ppl\": 25.1");
  damage("short", "result.json", "30.0,", "");
  damage("swapped", "result.json", "30.0,\n    20.0", "20.0,\n    30.0");
  damage("without", "result.json", "\"ppl\"", "\"pql\"");
  damage("images", "config.toml", "dataset = \"text\"", "dataset = \"mnist\"");
  damage("mlp", "config.toml", "architecture = \"switch\"", "architecture = \"mlp\"");
  Config config = language();
  config.seed = ++seed;
  make("errors", {.9, .5}, config);
  const fs::path perplexities = make_language("perplexities", {30, 20}, config);
  std::ofstream(perplexities / "config.toml") << "stream.mega_batches = 2\n";
  const RunCollection collection = read();
  expect_left_out(collection, {{"mixed", "record 2 has an error, those before a ppl"},
                               {"both", "metrics.jsonl:2: both of error and ppl"},
                               {"neither", "metrics.jsonl:2: neither of error and ppl"},
                               {"small", "ppl is 0.5, expected at least 1"},
                               {"huge", "not a record of a mega-batch"},
                               {"word", "not a record of a mega-batch"},
                               {"null", "not a record of a mega-batch"},
                               {"no experts", "experts is 0, expected an integer in 1"},
                               {"part of an expert", "experts is 1e+300, expected an integer"},
                               {"another", "mean_ppl is 25.0"},
                               {"mean", "mean_ppl is 25.1"},
                               {"short", "ppl has 1 values, metrics.jsonl 2"},
                               {"swapped", "ppl of mega-batch 1 is 20.0"},
                               {"without", "not the result of a run"},
                               {"images", "does not go with stream.dataset = \"mnist\""},
                               {"mlp", "does not go with stream.dataset = \"text\""},
                               {"errors", "errors, which a run with stream.dataset = \"text\" does not have"},
                               {"perplexities", "perplexities, which a run with stream.dataset = \"mnist\" does not have"}});
  ASSERT_EQ(collection.runs.size(), 2u);
  // Of numbers at the end of the range the mean is known, the spread may not be.
  const json groups = page_json(report_page(collection, kVega)).at("groups");
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[1]["label"], "SM8 h=512 w=1");
  EXPECT_NEAR(groups[1]["ppl"][0].get<double>() / 1e308, 1.35, 1e-9);
}

TEST_F(LanguageReport, ImagesAndLanguageStandSideBySide) {
  make("images", {.9, .5});
  make_language("language", {30, 20});
  const json data = page_json(report_page(read(), kVega));
  ASSERT_EQ(data.at("groups").size(), 2u);
  const json &images = data["groups"][0], &text = data["groups"][1];
  EXPECT_EQ(images["stream"], "mnist");
  EXPECT_NEAR(images["cer"][0].get<double>(), 1.4, 1e-12);
  EXPECT_FALSE(images.contains("ppl") || images.contains("stages"));
  EXPECT_EQ(text["stream"], "text");
  EXPECT_NEAR(text["ppl"][0].get<double>(), 25, 1e-12);
  EXPECT_EQ(text["final"][0], 20);
  EXPECT_EQ(text["runs"][0]["final"], 20);
  EXPECT_FALSE(text.contains("cer") || text.contains("paper"));
  // In a table of both, what a run does not have is empty.
  const std::string csv = report_csv(read().runs);
  EXPECT_NE(csv.find(",cer,final_error,mem,comp_macs,comp_flops,paper_cer,ppl,mean_ppl,bits_per_byte,parameters,"),
            std::string::npos);
  EXPECT_NE(csv.find(",1.4,0.5,200,2000,0,3500.0,,,,100,"), std::string::npos) << csv;
  EXPECT_NE(csv.find(",,,200,0,2000,,\"[30.0,20.0]\",25.0,,100,"), std::string::npos) << csv;
}

TEST_F(LanguageReport, DrawsItsFiguresAsFiles) {
  if (std::system("node --version >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "Node.js is not installed; setup.sh --dev installs it";
  make_runs_of_the_paper();
  write_figures(read(), kVega, root() / "svg");
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(root() / "svg")) {
    names.insert(entry.path().filename());
    const std::string svg = read_text(entry.path()).value();
    const std::string name = entry.path().filename();
    const char* title = name == "text-sizes-experts.svg"      ? "experts per layer"
                        : name == "text-sizes-parameters.svg" ? "parameters"
                                                              : "perplexity";
    EXPECT_NE(svg.find(title), std::string::npos) << name;
    EXPECT_EQ(svg.find("CER"), std::string::npos) << entry.path();
    EXPECT_EQ(svg.find("NaN"), std::string::npos) << entry.path();
  }
  EXPECT_EQ(names, (std::set<std::string>{"text-ppl-compute.svg", "text-ppl-parameters.svg", "text-ppl-experts.svg",
                                          "text-curves.svg", "text-sizes-parameters.svg", "text-sizes-experts.svg"}));
}

}  // namespace
}  // namespace alma::test
