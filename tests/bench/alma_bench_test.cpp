// alma-bench as its users meet it: every suite runs, and the file has what bench/compare and readers need.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"
#include "tests/data/files.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

using nlohmann::json;

class AlmaBench : public testing::Test {
 protected:
  /// Its exit code; standard output and error are in the file out.txt.
  int bench(const std::string& arguments) const {
    const std::string out = folder_ / "out.txt";
    const int status = std::system((ALMA_BINARY_DIR "/alma-bench " + arguments + " > " + out + " 2>&1").c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string output() const { return read_text(folder_ / "out.txt").value_or(""); }

  TemporaryFolder folder_;
};

TEST_F(AlmaBench, EverySuiteRunsAndKnowsItsShareOfTheCeiling) {
  const std::string file = folder_ / "bench.json";
  ASSERT_EQ(bench("--quick --device cpu --json " + file), 0) << output();
  EXPECT_NE(output().find("ceilings at the end"), std::string::npos);
  const json all = json::parse(read_text(file).value());
  EXPECT_FALSE(std::filesystem::exists(file + ".part"));

  const json& context = all.at("context").at("alma");
  EXPECT_EQ(context.at("device"), "cpu");
  EXPECT_EQ(context.at("threads"), 1);
  for (const char* when : {"start", "end"}) {
    const json& ceilings = context.at("ceilings").at(when);
    EXPECT_GT(ceilings.at("flops_per_second"), 0) << when;
    EXPECT_GE(ceilings.at("memory").size(), 4u) << when;
    for (const json& memory : ceilings.at("memory")) EXPECT_GT(memory.at("copy_bytes_per_second"), 0) << when;
  }

  std::map<std::string, json> benchmarks;
  std::set<std::string> suites;
  for (const json& benchmark : all.at("benchmarks")) {
    const std::string name = benchmark.at("name");
    EXPECT_TRUE(benchmarks.emplace(name, benchmark).second) << name << " is there twice";
    suites.insert(name.substr(0, name.find('/')));
    EXPECT_EQ(name.find("_time"), name.npos) << name;
    EXPECT_GT(benchmark.at("time_ns"), 0) << name;
    EXPECT_TRUE(benchmark.at("share").is_number() && std::isfinite(benchmark.at("share").get<double>())) << name;
    // Only an empty tensor moves and computes nothing.
    if (name != "memory/tensor/1KiB") {
      EXPECT_GT(benchmark.at("share"), 0) << name;
    }
  }
  EXPECT_EQ(suites, (std::set<std::string>{"ops", "memory", "optim", "tape", "gemm", "step", "validation", "evaluation",
                                           "kernels"}));
  // Bytes and FLOPs by the shapes: [128, 784] times [4, 784]^T.
  const json& product = benchmarks.at("gemm/mlp_n128_h4/fc1_fwd");
  const double seconds = product.at("time_ns").get<double>() * 1e-9;
  EXPECT_NEAR(product.at("FLOP/s").get<double>() * seconds, 2 * 128 * 784 * 4, 10);
  EXPECT_NEAR(product.at("bytes_per_second").get<double>() * seconds, 4 * (128 * 784 + 4 * 784 + 128 * 4), 10);
  const json& tape = benchmarks.at("tape/forward_backward/relu_affine_add");
  // What the tape costs is a difference of two times, of any sign in so short a measurement.
  EXPECT_GT(tape.at("bare_us_per_op"), 0);
  EXPECT_GT(tape.at("us_per_op").get<double>() + tape.at("bare_us_per_op").get<double>(), 0);
}

TEST_F(AlmaBench, TheFilterChoosesAndRepetitionsAreKept) {
  const std::string file = folder_ / "bench.json";
  ASSERT_EQ(bench("--quick --device cpu --threads 2 --repetitions 3 --filter '^ops/relu/h4$' --json " + file), 0)
      << output();
  const json all = json::parse(read_text(file).value());
  int runs = 0;
  for (const json& benchmark : all.at("benchmarks")) {
    EXPECT_EQ(benchmark.at("run_name"), "ops/relu/h4");
    EXPECT_EQ(benchmark.at("clock"), "real") << "threads besides the first have no part in its CPU time";
    runs += benchmark.at("run_type") == "iteration";
  }
  EXPECT_EQ(runs, 3);
  const std::string compare =
      std::string(ALMA_SOURCE_DIR "/bench/compare --fail ") + file + " " + file + " > /dev/null 2>&1";
  EXPECT_EQ(std::system(compare.c_str()), 0) << "bench/compare reads what alma-bench writes";
}

TEST_F(AlmaBench, CountersAreOfOneCall) {
  if (!open_simulator()) GTEST_SKIP() << no_simulator;
  const std::string file = folder_ / "counters.json";
  ASSERT_EQ(bench("--quick --device cuda-sim --filter '^kernels/(add|softmax)/(128x784|128x10)$' --counters " + file), 0)
      << output();
  const json all = json::parse(read_text(file).value());
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].at("name"), "kernels/add/128x784");
  EXPECT_EQ(all[0].at("minimum"), 3 * 4 * 128 * 784);
  ASSERT_EQ(all[0].at("kernels").size(), 1u);
  const json& kernel = all[0].at("kernels")[0];
  EXPECT_EQ(kernel.at("name"), "combine_kernel<Add>");
  EXPECT_EQ(kernel.at("launches"), 1);
  EXPECT_EQ(kernel.at("read"), 2 * 4 * 128 * 784);
  EXPECT_EQ(kernel.at("distinct_written"), 4 * 128 * 784);
  for (const json& access : kernel.at("accesses")) {
    EXPECT_EQ(access.at("width"), 16);
    EXPECT_EQ(access.at("bytes"), 32 * access.at("sectors").get<int>()) << access;
    EXPECT_EQ(access.at("conflicts"), 0);
  }
  EXPECT_EQ(all[1].at("minimum"), 2 * 4 * 128 * 10);
}

TEST_F(AlmaBench, WrongUsageIsToldBeforeAnythingRuns) {
  const auto expect_error = [&](const std::string& arguments, int code, const std::string& part) {
    EXPECT_EQ(bench("--quick " + arguments), code) << output();
    EXPECT_NE(output().find(part), std::string::npos) << output();
    EXPECT_EQ(output().find("ceilings"), std::string::npos) << output();
  };
  expect_error("--device tpu", 2, "unknown device");
  expect_error("--filter '('", 2, "is not a regular expression");
  expect_error("--filter nothing", 2, "no benchmark matches");
  expect_error("--threads 0", 2, "threads");
  expect_error("--device cpu --counters counters.json", 2, "--counters goes with --device cuda-sim, got cpu");
  expect_error("--device cpu --json /nowhere/bench.json", 1, "/nowhere/bench.json");
}

}  // namespace
}  // namespace alma::test
