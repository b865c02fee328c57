// What libFuzzer's programs do, without libFuzzer: every target takes its seeds, what is near them, and what was once found.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

class Replay : public testing::TestWithParam<Target> {};

void take_quietly(const Target& target, const std::string& input, const std::string& what) {
  try {
    take(target, input);
  } catch (const std::exception& error) {
    ADD_FAILURE() << what << ": " << error.what();
  }
}

// Not even refused: at least one seed is accepted, so that what is behind the first check is reached.
TEST_P(Replay, Seeds) {
  int accepted = 0;
  const auto seeds = GetParam().seeds();
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    take_quietly(GetParam(), seeds[i], "seed " + std::to_string(i + 1));
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
      take_quietly(GetParam(), seed.substr(0, at), "cut at " + std::to_string(at));
      for (const int other : {0x00, 0x30, 0x7f, 0xff}) {
        std::string changed = seed;
        changed[at] = static_cast<char>(other);
        take_quietly(GetParam(), changed, "byte " + std::to_string(at) + " is " + std::to_string(other));
      }
    }
  }
}

}  // namespace

// Without it a test's name would show the bytes of pointers, which change from start to start.
void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

namespace {

TEST(Findings, AreMended) {
  int replayed = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(ALMA_SOURCE_DIR "/tests/fuzz/findings")) {
    if (entry.is_directory()) continue;
    const std::string name = entry.path().parent_path().filename();
    const auto target = std::find_if(targets().begin(), targets().end(), [&](const Target& t) { return t.name == name; });
    ASSERT_NE(target, targets().end()) << entry.path() << " is in the folder of no target";
    take_quietly(*target, read_text(entry.path()).value(), entry.path());
    ++replayed;
  }
  EXPECT_GE(replayed, 3);
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Replay, testing::ValuesIn(targets()), [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace alma::fuzz
