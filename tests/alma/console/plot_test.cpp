#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "alma/console/plot.h"

namespace alma {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// Characters, not bytes: continuation bytes of UTF-8 do not count.
std::size_t width_of(const std::string& line) {
  std::size_t width = 0;
  for (char c : line) width += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return width;
}

TEST(Plot, FitsTheColumnsForAnyLength) {
  for (std::size_t n : {1, 2, 31, 32, 33, 71, 72, 73, 257, 500, 10000})
    for (int columns : {20, 40, 80})
      for (bool unicode : {false, true}) {
        const std::string plot = plot_curve(std::vector<double>(n, 0.5), "test error", columns, unicode);
        for (const std::string& line : lines_of(plot)) EXPECT_LE(width_of(line), static_cast<std::size_t>(columns)) << plot;
        EXPECT_NE(plot.find(columns >= 40 ? "test error" : "error"), plot.npos);
        const bool ascii = std::all_of(plot.begin(), plot.end(), [](char c) { return static_cast<unsigned char>(c) < 128; });
        EXPECT_NE(ascii, unicode) << plot;
      }
  EXPECT_EQ(plot_curve({}, "test error", 80, true), "");
}

TEST(Plot, AxesAreLabelled) {
  const std::string plot = plot_curve(std::vector<double>(500, 0.9), "test error", 80, false);
  for (const char* part : {"test error", "1.000 |", "0.500 |", "0.000 +", "mega-batch", "500"})
    EXPECT_NE(plot.find(part), plot.npos) << part << "\n" << plot;
}

TEST(Plot, HeightsFollowTheValues) {
  const std::vector<double> falling = {1.0, 0.75, 0.5, 0.25, 0.0};
  const std::vector<std::string> lines = lines_of(plot_curve(falling, "x", 80, false));
  ASSERT_EQ(lines.size(), 13u);
  // 71 columns hold 14 for each value; the axis starts at column 9. Ten rows of .1, the highest first.
  const auto row_of = [&](std::size_t value) {
    for (std::size_t row = 0; row < 10; ++row)
      if (lines[row + 1].size() > 9 + value * 14 && lines[row + 1][9 + value * 14] == '*') return static_cast<int>(9 - row);
    return -1;
  };
  EXPECT_EQ(row_of(0), 9);
  EXPECT_EQ(row_of(1), 7);
  EXPECT_EQ(row_of(2), 5);
  EXPECT_EQ(row_of(3), 2);
  EXPECT_EQ(row_of(4), 0);
}

TEST(Plot, ValuesThatShareAColumnAreAveraged) {
  std::vector<double> values(142);  // two for each of 71 columns
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 2 == 0 ? 1.0 : 0.0;
  const std::vector<std::string> lines = lines_of(plot_curve(values, "x", 80, false));
  for (std::size_t row = 0; row < 10; ++row) EXPECT_EQ(lines[row + 1].find('*') != std::string::npos, row == 4) << row;
}

TEST(Plot, BlocksAreFilledByEighths) {
  // The axis ends at 1: .45 fills four rows and four eighths of the fifth.
  const std::vector<std::string> lines = lines_of(plot_curve(std::vector<double>{1.0, 0.45}, "x", 11, true));
  EXPECT_EQ(lines[1].substr(9), "████");
  EXPECT_EQ(lines[6].substr(9), "████▄▄▄▄");
  EXPECT_EQ(lines[7].substr(9), "████████");
}

}  // namespace
}  // namespace alma
