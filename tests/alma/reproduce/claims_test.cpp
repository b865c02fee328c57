// The claims held against the paper's own numbers: Figs. 1 to 4 and their tables, not ours.
#include "alma/reproduce/claims.h"

#include <gtest/gtest.h>

#include <set>

#include "alma/config/shipped_configs.h"
#include "alma/sweep/grid.h"

namespace alma::test {
namespace {

// CIFAR-10 at B = 100: the figures' CER, TFLOPS, and parameters on average.
struct Row {
  const char* learner;
  std::int64_t h, wait;
  bool replay;
  double cer, tflops, parameters;
};
constexpr Row kCifar[] = {
    {"SM", 4, 2, false, 3138.2, 1.815, 2'510},          {"SM", 4, 10, false, 2696.4, 1.815, 2'510},
    {"SM", 4, 100, false, 3353.7, 1.815, 2'510},        {"SM", 16, 10, false, 1674.1, 21.82, 35'930},
    {"SM", 64, 10, false, 1350.4, 320.2, 558'410},      {"Ens4", 4, 10, false, 2381.6, 7.26, 10'040},
    {"Ens4", 16, 10, false, 1404.1, 87.27, 143'720},    {"Ens4", 64, 10, false, 1100.5, 1281, 2'233'640},
    {"UMix2", 64, 10, false, 1333.7, 640.4, 1'116'820}, {"gEns", 4, 10, false, 2670.4, 1.815, 13'805},
    {"gEns", 64, 10, false, 1189.4, 320.2, 3'071'255},  {"SM", 4, 10, true, 2489.3, 9.98, 2'510},
    {"SM", 16, 10, true, 1436.7, 120, 35'930},          {"SM", 64, 10, true, 1135.6, 1761, 558'410},
    {"gMoE", 4, 10, false, 2314.8, 5.052, 17'382},      {"gMoE", 16, 10, false, 1558.4, 71.03, 228'342},
    {"gMoE", 64, 10, false, 1325.3, 1097, 3'456'822},   {"FF", 4, 10, false, 2016.6, 31.91, 45'041},
    {"FF", 16, 10, false, 1489.0, 296.4, 627'146},      {"FF", 64, 10, false, 1273.9, 1775, 10'723'774},
};

std::vector<GridPoint> paper_grid(const std::string& data_set) {
  return parse_grid(*find_shipped_config("sweeps/" + data_set + ".toml"), data_set, ".").points;
}

Measured paper() {
  Measured measured;
  for (const Row& row : kCifar) {
    MeasuredPoint& point = measured[{row.learner, row.h, row.wait, row.replay}];
    point.cer = {row.cer};
    point.macs = row.tflops * 1e12;
    point.mem = row.parameters * 100;
    point.grows = std::set<std::string>{"gEns", "gMoE", "FF"}.contains(row.learner);
    point.errors.emplace_back(100, 0.9);
  }
  // Fig. 3: the error of SM h = 4 at t = 10 and t = 100 when it waits for 2, and after its first update at w = 10 and 100.
  MeasuredPoint& one_by_one = measured[{"SM", 4, 2}];
  one_by_one.errors[0][9] = .7291;
  one_by_one.errors[0][99] = .5551;
  measured[{"SM", 4, 10}].first_error = {.5911};
  measured[{"SM", 4, 100}].first_error = {.4437};
  return measured;
}

const Claim& claim(const std::vector<Claim>& claims, const std::string& start) {
  for (const Claim& one : claims)
    if (one.sentence.starts_with(start)) return one;
  throw std::runtime_error("no claim " + start);
}

TEST(Claims, HoldForThePapersOwnNumbers) {
  const auto claims = check_claims(paper(), "cifar10");
  EXPECT_EQ(claims.size(), 8u);
  for (const Claim& one : claims) {
    const bool gmoe = one.sentence.find("gMoE") != std::string::npos;  // its h = 4 beats what fits into its memory
    EXPECT_EQ(one.verdict, gmoe ? Verdict::does_not : Verdict::holds) << one.sentence << ": " << one.ours;
    EXPECT_NE(one.ours.find("single seeds"), std::string::npos) << one.ours;
  }
  const std::string& growing = claim(claims, "Growing").ours;
  EXPECT_NE(growing.find("gEns h=4 2670.40, Ens4 h=4 2381.60"), std::string::npos)
      << "of those no larger the best: " << growing;
  EXPECT_NE(claims[6].ours.find("FF h=4 2016.60, SM h=16 1674.10"), std::string::npos) << claims[6].ours;
  const std::string& replay = claim(claims, "Replay").ours;
  EXPECT_NE(replay.find("SM h=16 replay 1436.70, Ens4 h=16 1404.10"), std::string::npos) << replay;
}

TEST(Claims, DoNotHoldWhereTheNumbersSayTheOpposite) {
  const auto verdict_with = [](const PaperPoint& point, double cer, const std::string& start) {
    Measured changed = paper();
    changed[point].cer = {cer};
    return claim(check_claims(changed, "cifar10"), start).verdict;
  };
  EXPECT_EQ(verdict_with({"SM", 4, 2}, 2600, "An intermediate wait"), Verdict::does_not);
  EXPECT_EQ(verdict_with({"SM", 16, 10}, 2700, "Larger models"), Verdict::does_not);
  EXPECT_EQ(verdict_with({"UMix2", 64, 10}, 1100, "Ensembles"), Verdict::does_not);
  EXPECT_EQ(verdict_with({"SM", 4, 10, true}, 2300, "Replay"), Verdict::does_not);
  EXPECT_EQ(verdict_with({"gEns", 4, 10}, 2300, "Growing"), Verdict::does_not);
  EXPECT_EQ(verdict_with({"gMoE", 4, 10}, 2400, "Growing does not beat a fixed model of the same memory (CER of gMoE"),
            Verdict::holds);
  Measured changed = paper();
  changed[{"SM", 4, 100}].first_error = {.56};
  EXPECT_EQ(claim(check_claims(changed, "cifar10"), "Sequential").verdict, Verdict::does_not);
}

TEST(Claims, CannotBeToldWithinTheNoiseOrWithoutRuns) {
  // Means 91 and 115 with standard errors 12 and 12: the difference is 1.4 of its own standard errors.
  Measured noisy;
  noisy[{"SM", 4, 1}].cer = {103, 127};
  noisy[{"SM", 4, 10}].cer = {79, 103};
  noisy[{"SM", 4, 500}].cer = {449, 449.2};
  const auto wait_claim = [&] { return claim(check_claims(noisy, "mnist"), "An intermediate wait"); };
  EXPECT_EQ(wait_claim().verdict, Verdict::cannot_tell);
  EXPECT_NE(wait_claim().ours.find("w=1: 115.00 ± 16.97"), std::string::npos) << wait_claim().ours;
  noisy[{"SM", 4, 1}].cer = {114, 116};
  noisy[{"SM", 4, 10}].cer = {90, 92};
  EXPECT_EQ(wait_claim().verdict, Verdict::holds);
  for (const Claim& one : check_claims({}, "mnist")) {
    EXPECT_EQ(one.verdict, Verdict::cannot_tell) << one.sentence;
    EXPECT_EQ(one.ours, "no runs to compare") << one.sentence;
  }
}

TEST(Claims, AreMeasuredOverSeeds) {
  std::vector<RunRecord> runs(2);
  for (int seed = 0; seed < 2; ++seed) {
    RunRecord& run = runs[static_cast<std::size_t>(seed)];
    run.config.learner.method = "umix";
    run.config.learner.wait = 2;
    run.config.seed = seed;
    for (std::int64_t t = 1; t <= 4; ++t) {
      MegaBatchRecord record;
      record.t = t;
      record.error = t < 2 ? .9 : t < 4 ? .5 - .1 * seed : .25;
      record.params = 10 + t / 4;
      run.records.push_back(record);
    }
    run.measures = aggregate(run.records, 2);
  }
  const Measured measured = measure(runs);
  ASSERT_EQ(measured.size(), 1u);
  const auto& [point, at] = *measured.begin();
  EXPECT_EQ(point, (PaperPoint{"UMix4", 64, 2, false}));
  EXPECT_EQ(at.first_error, (std::vector<double>{.5, .4}));
  EXPECT_EQ(at.mem, 41);
  EXPECT_TRUE(at.grows);
  EXPECT_NEAR(at.cer[0], .9 + .5 + .5 + .25, 1e-12);
  // A language model of the same name is no such point.
  RunRecord language = runs[0];
  for (MegaBatchRecord& record : language.records) record.error = 0, record.ppl = 30;
  language.measures = aggregate(language.records, 2);
  runs.push_back(language);
  EXPECT_EQ(measure(runs).begin()->second.cer.size(), 2u);
}

TEST(Claims, AreATable) {
  const Claim one{"A is so", "1 < 2", "1 ± 0", Verdict::cannot_tell};
  EXPECT_EQ(markdown_table({&one, 1}),
            "| claim | paper | alma, mean ± s over seeds | verdict |\n|---|---|---|---|\n"
            "| A is so | 1 < 2 | 1 ± 0 | undecided |\n");
}

TEST(PaperGrids, AreTheOnesOfTheFigures) {
  // 5 methods, 3 widths, 5 waits, 3 seeds, and replay at one wait with SM; CIFAR-10 has 3 waits and Firefly.
  EXPECT_EQ(paper_grid("mnist").size(), 225u + 9);
  EXPECT_EQ(paper_grid("cifar10").size(), 162u + 9);
  // They are the learners of the configuration files, under which earlier runs are known.
  const auto has = [](const std::string& grid, const Config& config) {
    for (const GridPoint& point : paper_grid(grid))
      if (run_name(point.config).substr(0, 14) == run_name(config).substr(0, 14)) {
        Config found = point.config;
        found.learner.members = config.learner.members;  // no effect on one model
        if (differences(found, config).empty()) return true;
      }
    return false;
  };
  for (const char* name : {"mnist-sm-h4", "mnist-gmoe", "cifar10-sm", "cifar10-gmoe", "cifar10-ff"}) {
    const std::string file = name;
    const Config config = load_config(ALMA_SOURCE_DIR "/alma/configs/" + file + ".toml");
    EXPECT_TRUE(has(file.substr(0, file.find('-')), config)) << name;
  }
}

}  // namespace
}  // namespace alma::test
