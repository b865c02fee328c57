// What libFuzzer's programs do, without libFuzzer: every target takes its seeds, what is near them, and what was once found.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

class Replay : public testing::TestWithParam<Target> {
 protected:
  void take_quietly(const std::string& input, const std::string& what) {
    try {
      take(GetParam(), input);
    } catch (const std::exception& error) {
      ADD_FAILURE() << what << ": " << error.what();
    }
  }
};

// Not even refused: at least one seed is accepted, so that what is behind the first check is reached.
TEST_P(Replay, Seeds) {
  int accepted = 0;
  const auto seeds = GetParam().seeds();
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    take_quietly(seeds[i], "seed " + std::to_string(i + 1));
    try {
      GetParam().read(seeds[i]);
      ++accepted;
    } catch (const std::exception&) {
    }
  }
  EXPECT_GE(accepted, 1);
}

TEST_P(Replay, WhatIsNearTheSeeds) {
  for (const std::string& seed : GetParam().seeds()) {
    constexpr std::size_t places = 40;
    for (std::size_t i = 0; i < places; ++i) {
      const std::size_t at = seed.size() * i / places;
      take_quietly(seed.substr(0, at), "cut at " + std::to_string(at));
      for (const int other : {0x00, 0x30, 0x7f, 0xff}) {
        std::string changed = seed;
        changed[at] = static_cast<char>(other);
        take_quietly(changed, "byte " + std::to_string(at) + " is " + std::to_string(other));
      }
    }
  }
}

TEST_P(Replay, Findings) {
  const std::filesystem::path folder = std::filesystem::path(ALMA_SOURCE_DIR) / "tests/fuzz/findings" / GetParam().name;
  if (!std::filesystem::exists(folder)) return;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto content = read_text(entry.path());
    ASSERT_TRUE(content) << entry.path();
    take_quietly(*content, entry.path().filename().string());
  }
}

}  // namespace

// Without it a test's name would show the bytes of pointers, which change from start to start.
void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

namespace {

INSTANTIATE_TEST_SUITE_P(Fuzz, Replay, testing::ValuesIn(targets()), [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace alma::fuzz
