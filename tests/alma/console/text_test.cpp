#include "alma/console/text.h"

#include <gtest/gtest.h>

namespace alma {
namespace {

TEST(Text, GroupedPutsCommasBetweenThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-100), "-100");
  EXPECT_EQ(grouped(-123456), "-123,456");
}

TEST(Text, ScaledHasAUnit) {
  EXPECT_EQ(scaled(0), "0");
  EXPECT_EQ(scaled(9999), "9999");
  EXPECT_EQ(scaled(10000), "10 k");
  EXPECT_EQ(scaled(42'770'000'000), "42.77 G");
  EXPECT_EQ(scaled(Count{1} << 127), "1.701e+14 Y");
}

TEST(Text, DurationHasTwoUnits) {
  EXPECT_EQ(duration(0), "0.0s");
  EXPECT_EQ(duration(9.94), "9.9s");
  EXPECT_EQ(duration(9.96), "10s");
  EXPECT_EQ(duration(59.4), "59s");
  EXPECT_EQ(duration(59.6), "1m 00s");
  EXPECT_EQ(duration(3600 * 3 + 60 * 5 + 1), "3h 05m");
  EXPECT_EQ(duration(86400 * 2 + 3600 * 4), "2d 04h");
}

TEST(Text, AShortageOfThreadsIsPutIntoWords) {
  EXPECT_EQ(thread_shortage(4, 4), "");
  EXPECT_NE(thread_shortage(8, 3).find("only 3 of 8 threads"), std::string::npos);
}

}  // namespace
}  // namespace alma
