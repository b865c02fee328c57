#include "alma/console/profile_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/files.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_matmul.h"
#include "tests/alma/learn/training.h"

namespace alma::test {
namespace {

using nlohmann::json;

const ProfileFacts kFacts{{"cpu", "generic", "a \"processor\"", "", false, 0, ""}, 2};

/// Two lanes of known calls.
Profile example() {
  Profile profile;
  profile.nanoseconds = 2'000'000;
  profile.lanes.resize(2);
  LaneProfile& first = profile.lanes[0];
  first.name = "training";
  first.primitives["matmul"] = {4, 1'000'000, {0, 3'000'000, 500'000}};
  first.primitives["fill"] = {1, 100'000, {}};
  first.phases["training step"] = {2, 1'500'000, {}};
  first.phases[kLoadingData] = {1, 300'000, {}};
  first.sizes = {2, 3, 4, 0, 1, 5};
  first.events = {{"matmul", "a b^T", false, 1500, 250, 24, 48, 0, 6},
                  {"training step", "", true, 1000, 2001, 24, 48, 6, 0}};
  profile.lanes[1].name = "test \"evaluation\"";
  profile.lanes[1].primitives["softmax"] = {1, 1, {}};
  return profile;
}

TEST(ProfileReport, TheTraceIsJsonInTraceEventFormat) {
  const json trace = json::parse(profile_trace(example(), kFacts));
  const json& events = trace.at("traceEvents");
  ASSERT_EQ(events.size(), 5u) << "the process, two threads, two events";
  EXPECT_EQ(events[1],
            (json{{"name", "thread_name"}, {"ph", "M"}, {"pid", 1}, {"tid", 1}, {"args", {{"name", "training"}}}}));
  EXPECT_EQ(events[2], (json{{"name", "matmul"},
                             {"cat", "primitive"},
                             {"ph", "X"},
                             {"pid", 1},
                             {"tid", 1},
                             {"ts", 1.5},
                             {"dur", 0.25},
                             {"args", {{"shapes", "[3, 4] [] [5]"}, {"form", "a b^T"}, {"bytes", 48}, {"flops", 24}}}}));
  EXPECT_EQ(events[3].at("cat"), "phase");
  EXPECT_EQ(events[3].at("dur"), 2.001);
  EXPECT_EQ(events[4].at("args").at("name"), "test \"evaluation\"");
  EXPECT_EQ(trace.at("otherData").at("hardware"), "a \"processor\"");
  ASSERT_EQ(trace.at("ops").size(), 3u);
  EXPECT_EQ(trace.at("ops")[0], (json{{"lane", "training"},
                                      {"name", "matmul"},
                                      {"calls", 4},
                                      {"seconds", 0.001},
                                      {"bytes", 500000},
                                      {"flops", 3000000}}));
}

TEST(ProfileReport, TheTableAddsUpToTheRun) {
  const std::string table = profile_table(example(), kFacts);
  const auto has_line = [&](const std::string& expected) {
    std::istringstream lines(table);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string squeezed;
      for (std::string word; words >> word;) squeezed += (squeezed.empty() ? "" : " ") + word;
      if (squeezed == expected) return true;
    }
    return false;
  };
  // 1 ms of 2: 250 us a call, 0.5 bytes and 3 FLOPs per nanosecond.
  EXPECT_TRUE(has_line("matmul 4 0.001 50.0% 250.00 500 k 3 M 0.50 3.00")) << table;
  EXPECT_TRUE(has_line("fill 1 0.000 5.0% 100.00 - - - -")) << table;
  EXPECT_TRUE(has_line("loading data 0.000 15.0%")) << table;
  EXPECT_TRUE(has_line("engine and loop 0.001 30.0%")) << table;
  EXPECT_TRUE(has_line("the run 0.002 100.0% 500 k 3 M")) << table;
  EXPECT_TRUE(has_line("training step 2 0.002 75.0% 750.00")) << table;
  EXPECT_NE(table.find("cpu generic, a \"processor\", 2 threads"), table.npos) << table;
  EXPECT_EQ(table.find("later ones"), table.npos) << table;
}

TEST(ProfileReport, SaysWhatTheTraceLeavesOutAndWhenTheHostWaits) {
  Profile profile = example();
  profile.dropped = 12345;
  EXPECT_NE(profile_table(profile, kFacts).find("12,345 later ones are counted only in this table"), std::string::npos);
  EXPECT_EQ(json::parse(profile_trace(profile, kFacts)).at("otherData").at("dropped_events"), 12345);
  EXPECT_EQ(profile_table(profile, kFacts).find("waits"), std::string::npos);
  EXPECT_NE(profile_table(profile, {{"cuda", "sm_90", "a GPU", "", false, 0, ""}, 1}).find("waits for the device"),
            std::string::npos);
}

TEST(ProfileReport, SaveWritesBothFilesAndQuietSaysNothing) {
  const TemporaryFolder folder;
  Profiler profiler;
  Context context("cpu", 1, {&profiler, "training"});
  relu(Tensor::zeros(context, {3}, DType::f32));
  std::ostringstream out, err;
  Console quiet({nullptr, &err, false, false, 80, [] { return 0.0; }}),
      loud({&out, &err, false, false, 80, [] { return 0.0; }});
  save_profile(profiler, kFacts, folder.path(), quiet);
  EXPECT_EQ(out.str() + err.str(), "");
  save_profile(profiler, kFacts, folder.path(), loud);
  const std::string table = read_text(folder / "profile.txt").value();
  EXPECT_NE(table.find("relu"), table.npos);
  EXPECT_NE(out.str().find(table), std::string::npos) << out.str();
  EXPECT_TRUE(json::parse(read_text(folder / "profile.json").value()).contains("traceEvents"));
}

TEST(ProfileReport, ATrainingRunGivesTheSameBitsWithAndWithoutProfile) {
  const Config config = small_config();
  Profiler profiler;
  Context plain("cpu"), recorded("cpu", 1, {&profiler, "training"});
  const Trained expected = run_to_end(config, plain), found = run_to_end(config, recorded);
  EXPECT_EQ(bits(found.tensors), bits(expected.tensors));
  ASSERT_EQ(found.records.size(), expected.records.size());
  for (std::size_t i = 0; i < found.records.size(); ++i) {
    EXPECT_EQ(found.records[i].error, expected.records[i].error);
    EXPECT_EQ(found.records[i].loss, expected.records[i].loss);
    EXPECT_TRUE(found.records[i].train_flops == expected.records[i].train_flops);
  }
  const Profile profile = profiler.snapshot();
  Cost sum;
  for (const auto& [name, row] : profile.lanes.at(0).primitives) sum += row.cost;
  EXPECT_TRUE(sum.flops == recorded.cost().flops);
}

}  // namespace
}  // namespace alma::test
