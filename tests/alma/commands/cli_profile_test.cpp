#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"
#include "tests/alma/program.h"
#include "tests/data/files.h"

namespace alma {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Outcome;
using test::Program;
using test::run_alma;
using test::small_run;

json json_of(const fs::path& path) { return json::parse(read_text(path).value()); }

class CliProfile : public testing::Test {
 protected:
  Outcome run(const std::vector<std::string>& arguments) const { return run_alma(folder_.path(), arguments); }

  test::TemporaryFolder folder_;
};

std::map<std::string, json> by_name(const json& rows) {
  std::map<std::string, json> result;
  for (const json& row : rows) result[row.at("name")] = row;
  return result;
}

// FLOPs of the primitives that lie inside a phase, without some that do not count.
double flops_inside(const json& trace, const std::string& phase, const std::set<std::string>& without) {
  double sum = 0, end = -1;
  std::vector<std::pair<double, double>> spans;
  for (const json& event : trace.at("traceEvents"))
    if (event.at("ph") == "X" && event.at("name") == phase)
      spans.emplace_back(event.at("ts"), event.at("ts").get<double>() + event.at("dur").get<double>());
  for (const auto& [from, to] : spans) {
    EXPECT_GE(from, end) << "phases of one thread follow each other";
    end = to;
  }
  std::size_t at = 0;
  for (const json& event : trace.at("traceEvents")) {  // in order of their ends
    if (event.at("ph") != "X" || event.at("cat") != "primitive" || without.contains(event.at("name"))) continue;
    const double ts = event.at("ts");
    while (at < spans.size() && spans[at].second < ts) ++at;
    if (at < spans.size() && ts >= spans[at].first) sum += event.at("args").at("flops").get<double>();
  }
  return sum;
}

// The configuration: 20 mega-batches of 300 (270 for training), updates of two of them, 5 epochs in batches of 128; two
// mixture layers of two experts and an output layer.
TEST_F(CliProfile, TheSyntheticRunIsAccountedFor) {
  const Outcome outcome = run({"run", ALMA_SOURCE_DIR "/alma/configs/synthetic.toml", "--profile", "--out", "run",
                               "--device", "cpu", "--threads", "1"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* part : {"calls", "GFLOP/s", "matmul", "engine and loop", "training step", "profile.json"})
    EXPECT_NE(outcome.out.find(part), outcome.out.npos) << part;
  EXPECT_NE(outcome.out.find(read_text(folder_ / "run/profile.txt").value()), outcome.out.npos);

  const json trace = json_of(folder_ / "run/profile.json");
  EXPECT_EQ(trace.at("otherData").at("dropped_events"), 0);
  EXPECT_EQ(trace.at("otherData").at("device"), "cpu");
  const auto ops = by_name(trace.at("ops")), phases = by_name(trace.at("phases"));
  constexpr int updates = 10, epochs = 5, steps = updates * epochs * 5, evaluations = updates * epochs + updates * 2;
  EXPECT_EQ(phases.at("training step").at("calls"), steps);
  EXPECT_EQ(phases.at("validation").at("calls"), updates * epochs);
  EXPECT_EQ(phases.at("test evaluation").at("calls"), updates);
  EXPECT_GE(phases.at("checkpoint").at("calls"), 1);
  EXPECT_EQ(phases.at("loading data").at("calls"), 1);
  for (const char* name : {"matmul", "matmul_images", "matmul_images_gradient", "gather_rows", "bias_relu_backward", "mix",
                           "mix_backward", "softmax", "softmax_backward", "softmax_cross_entropy", "adadelta", "add",
                           "upload", "download", "copy", "fill", "allocate"})
    EXPECT_TRUE(ops.contains(name)) << name;
  // Forward 7 products; backward 7 for the weights and 4 for the inputs; forward once more to count a model's MACs.
  // The narrow layers of the input read the images where they lie.
  const auto calls = [&](const char* name) { return ops.at(name).at("calls").get<int>(); };
  EXPECT_EQ(calls("matmul") + calls("matmul_images") + calls("matmul_images_gradient"),
            steps * (7 + 7 + 4) + evaluations * 7 + 7);
  EXPECT_EQ(ops.at("adadelta").at("calls"), steps);
  EXPECT_EQ(ops.at("gather_rows").at("calls"), steps + evaluations);  // labels
  EXPECT_EQ(ops.at("softmax_cross_entropy").at("calls"), steps + evaluations);
  // result.json counts forward and backward passes of the training steps, without reading images and the optimizer.
  EXPECT_EQ(flops_inside(trace, "training step", {"gather_images", "adadelta"}),
            json_of(folder_ / "run/result.json").at("comp_flops").get<double>());
}

TEST_F(CliProfile, InterruptedQuietAndResumedRunsLeaveTheirProfile) {
  std::vector<std::string> arguments =
      small_run(folder_.path(), {"--quiet", "--profile", "--out", "run", "--set", "train.max_epochs=3000", "--set",
                                 "train.patience=3000", "--set", "train.checkpoint_seconds=0.05"});
  Program process(folder_.path(), arguments);
  ASSERT_TRUE(process.wait_until([&] { return fs::exists(folder_ / "run/checkpoint/state.json"); }));
  process.signal(SIGINT);
  const Outcome stopped = process.finish();
  ASSERT_EQ(stopped.code, 130) << stopped.err;
  EXPECT_EQ(stopped.out, "");
  const json first = json_of(folder_ / "run/profile.json");
  EXPECT_GE(by_name(first.at("phases")).at("checkpoint").at("calls"), 1);
  EXPECT_TRUE(by_name(first.at("ops")).contains("adadelta"));

  const Outcome resumed =
      run({"run", "--resume", "--out", "run", "--quiet", "--profile", "--device", "cpu", "--threads", "1"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(resumed.out, "");
  const json second = json_of(folder_ / "run/profile.json");
  EXPECT_NE(first, second) << "the second process writes its own";
  EXPECT_NE(read_text(folder_ / "run/profile.txt").value().find("training step"), std::string::npos);
  // 3 updates of 3000 epochs in 6 steps: each step is in one of the two profiles.
  const auto steps = [](const json& profile) {
    return by_name(profile.at("phases")).at("training step").at("calls").get<int>();
  };
  EXPECT_EQ(steps(first) + steps(second), 3 * 3000 * 6);
  EXPECT_GT(second.at("otherData").at("dropped_events"), 0) << "the trace has a cap";

  const Outcome finished = run({"run", "--resume", "--out", "run", "--profile"});
  EXPECT_EQ(finished.code, 0);
  EXPECT_NE(finished.err.find("nothing was left to run"), finished.err.npos) << finished.err;
  EXPECT_EQ(json_of(folder_ / "run/profile.json"), second);
}

TEST_F(CliProfile, AFailedRunLeavesItsProfile) {
  const Outcome outcome = run(small_run(folder_.path(), {"--profile", "--out", "run", "--set", "train.optimizer=\"sgd\"",
                                                         "--set", "train.lr=1000", "--set", "train.weight_decay=1"}));
  test::expect_failure(outcome, 1, {"not finite"});
  EXPECT_TRUE(by_name(json_of(folder_ / "run/profile.json").at("ops")).contains("sgd"));
}

TEST_F(CliProfile, WithoutTheOptionThereIsNoProfile) {
  const Outcome outcome = run(small_run(folder_.path(), {"--out", "run"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_FALSE(fs::exists(folder_ / "run/profile.json"));
  EXPECT_FALSE(fs::exists(folder_ / "run/profile.txt"));
  EXPECT_EQ(outcome.out.find("GFLOP/s"), outcome.out.npos);
}

}  // namespace
}  // namespace alma
