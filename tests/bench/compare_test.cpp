// bench/compare, on files of known times.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/data/files.h"

namespace alma::test {
namespace {

using nlohmann::json;

struct Outcome {
  int code = -1;
  std::string text;  // standard output and error
};

class Compare : public testing::Test {
 protected:
  struct Time {
    const char* name;
    double nanoseconds;
  };
  /// A file as alma-bench writes it; a name that comes several times has repetitions.
  std::string file(const char* name, const std::vector<Time>& times, const std::string& level = "x86-64-v4") const {
    json all = {{"context", {{"alma", {{"device", "cpu"}, {"level", level}, {"quick", false}}}}}};
    for (const auto& [benchmark, nanoseconds] : times)
      all["benchmarks"].push_back({{"name", benchmark}, {"run_type", "iteration"}, {"time_ns", nanoseconds}});
    // What must not be taken for a measurement.
    all["benchmarks"].push_back({{"name", "ops/add_median"}, {"run_type", "aggregate"}, {"time_ns", 1.0}});
    return text_file(name, all.dump());
  }
  std::string text_file(const char* name, const std::string& text) const {
    const std::filesystem::path path = folder_ / name;
    std::ofstream(path) << text;
    return path;
  }
  Outcome compare(const std::string& arguments) const {
    std::FILE* pipe = ::popen((ALMA_SOURCE_DIR "/bench/compare " + arguments + " 2>&1").c_str(), "r");
    Outcome outcome;
    char piece[4096];
    for (std::size_t got; (got = std::fread(piece, 1, sizeof piece, pipe)) != 0;) outcome.text.append(piece, got);
    const int status = ::pclose(pipe);
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
  }

  TemporaryFolder folder_;
};

/// The line of a benchmark, its words separated by single spaces.
std::string line_of(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first, squeezed;
    words >> first;
    if (first != name) continue;
    for (std::string word; words >> word;) squeezed += (squeezed.empty() ? "" : " ") + word;
    return squeezed;
  }
  return "no line of " + name + " in:\n" + text;
}

TEST_F(Compare, NamesWhatChangedAndWhatIsATie) {
  const std::string a = file("a.json", {{"ops/add", 1000}, {"ops/mix", 2e6}, {"ops/exp", 500}, {"gone", 1}});
  const std::string b = file("b.json", {{"ops/add", 1190}, {"ops/mix", 1e6}, {"ops/exp", 2000}, {"new", 1}});
  const Outcome outcome = compare(a + " " + b);
  EXPECT_EQ(outcome.code, 0) << "without --fail";
  EXPECT_EQ(line_of(outcome.text, "ops/add"), "1.000 us 1.190 us 1.190");
  EXPECT_EQ(line_of(outcome.text, "ops/mix"), "2.000 ms 1.000 ms 0.500 faster");
  EXPECT_EQ(line_of(outcome.text, "ops/exp"), "500.0 ns 2.000 us 4.000 slower");
  EXPECT_NE(outcome.text.find("only in A: gone"), std::string::npos) << outcome.text;
  EXPECT_NE(outcome.text.find("only in B: new"), std::string::npos) << outcome.text;
  // The cube root of 1.19 * 0.5 * 4.
  EXPECT_NE(outcome.text.find("3 compared: 1 faster, 1 slower, 1 within the noise; geometric mean of B / A 1.335"),
            std::string::npos)
      << outcome.text;
  EXPECT_EQ(outcome.text.find("warning"), std::string::npos) << outcome.text;
  EXPECT_EQ(compare("--fail " + a + " " + b).code, 1);
  EXPECT_EQ(compare("--changes " + a + " " + b).text.find("ops/add"), std::string::npos);
}

TEST_F(Compare, FailsOnlyForWhatGotSlowerBeyondTheThreshold) {
  const std::string a = file("a.json", {{"ops/add", 1000}, {"ops/mix", 1000}});
  const std::string b = file("b.json", {{"ops/add", 1150}, {"ops/mix", 100}});
  EXPECT_EQ(compare("--fail " + a + " " + b).code, 0) << "15% is a tie, and faster is no failure";
  EXPECT_EQ(compare("--fail --threshold 10 " + a + " " + b).code, 1);
  EXPECT_EQ(compare("--fail --threshold 10 " + a + " " + a).code, 0);
}

TEST_F(Compare, TakesTheMedianOfRepetitionsAndTheirSpreadForNoise) {
  const std::string a =
      file("a.json", {{"steady", 100}, {"steady", 101}, {"steady", 99}, {"wild", 100}, {"wild", 60}, {"wild", 140}});
  const std::string b =
      file("b.json", {{"steady", 150}, {"steady", 151}, {"steady", 9000}, {"wild", 150}, {"wild", 150}, {"wild", 150}});
  const Outcome outcome = compare(a + " " + b);
  EXPECT_EQ(line_of(outcome.text, "wild"), "100.0 ns 150.0 ns 1.500") << "half again is within a spread of 40%";
  EXPECT_EQ(line_of(outcome.text, "steady").substr(0, 23), "100.0 ns 151.0 ns 1.510");
  const std::string quiet = file("c.json", {{"steady", 150}, {"steady", 151}, {"steady", 152}});
  EXPECT_EQ(line_of(compare(a + " " + quiet).text, "steady"), "100.0 ns 151.0 ns 1.510 slower");
}

TEST_F(Compare, WarnsWhenTheFilesAreOfDifferentThings) {
  const std::string a = file("a.json", {{"ops/add", 1000}}), b = file("b.json", {{"ops/add", 1000}}, "generic");
  const Outcome outcome = compare(a + " " + b);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.text.find("warning: A has level x86-64-v4, B has generic"), std::string::npos) << outcome.text;
}

TEST_F(Compare, SaysWhatIsWrongWithAFile) {
  const std::string good = file("good.json", {{"ops/add", 1000}});
  const auto expect_error = [&](const std::string& bad, const std::string& part) {
    for (const std::string& order : {good + " " + bad, bad + " " + good}) {
      const Outcome outcome = compare(order);
      EXPECT_EQ(outcome.code, 2) << outcome.text;
      EXPECT_EQ(outcome.text.substr(0, 7), "error: ") << outcome.text;
      EXPECT_NE(outcome.text.find(part), std::string::npos) << outcome.text;
    }
  };
  expect_error(folder_ / "missing.json", "No such file");
  expect_error(text_file("cut.json", "{\"benchmarks\": ["), "is not JSON");
  expect_error(text_file("list.json", "[1, 2]"), "no list \"benchmarks\"");
  expect_error(text_file("empty.json", "{\"benchmarks\": []}"), "no benchmark");
  expect_error(text_file("zero.json", "{\"benchmarks\": [{\"name\": \"x\", \"time_ns\": 0}]}"), "time_ns = 0");
  EXPECT_EQ(compare(good).code, 2) << "one file is not enough";
  EXPECT_EQ(compare("--threshold -1 " + good + " " + good).code, 2);
  const Outcome apart = compare(good + " " + file("other.json", {{"ops/mix", 1}}));
  EXPECT_EQ(apart.code, 2);
  EXPECT_NE(apart.text.find("no benchmark in common"), std::string::npos) << apart.text;
}

}  // namespace
}  // namespace alma::test
