#include "kernels/random.h"

#include <gtest/gtest.h>

namespace alma::test {
namespace {

TEST(RandomStream, NamesSeparateStreams) {
  const auto first = [](RandomStream s) { return s.bits(); };
  const auto base = first(RandomStream(1, "shuffle", 2));
  EXPECT_EQ(base, first(RandomStream(1, "shuffle", 2)));
  EXPECT_NE(base, first(RandomStream(2, "shuffle", 2)));
  EXPECT_NE(base, first(RandomStream(1, "shuffles", 2)));
  EXPECT_NE(base, first(RandomStream(1, "shuffle", 3)));
}

}  // namespace
}  // namespace alma::test
