#include "alma/report/tensorboard.h"

#include <gtest/gtest.h>

namespace alma::test {
namespace {

// Examples of RFC 3720, B.4. TensorBoard itself reads whole files in tests/alma/report/tensorboard_test.
TEST(Crc32c, IsThatOfTheStandard) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i), falling += static_cast<char>(31 - i);
  EXPECT_EQ(crc32c(rising), 0x46dd794eu);
  EXPECT_EQ(crc32c(falling), 0x113fdb5cu);
  EXPECT_EQ(crc32c(""), 0u);
}

}  // namespace
}  // namespace alma::test
