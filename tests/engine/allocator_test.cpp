#include "engine/allocator.h"

#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

TEST(Allocator, FreedMemoryIsUsedAgain) {
  Allocator allocator(cpu().backend());
  void* first = allocator.allocate(1000);
  allocator.release(first, 1000);
  EXPECT_EQ(allocator.stats().cached, 1024u);
  EXPECT_EQ(allocator.allocate(1024), first) << "sizes are rounded up to 512";
  EXPECT_EQ(allocator.stats().device_calls, 1);
  allocator.release(first, 1024);
}

TEST(Allocator, StatisticsAddUp) {
  Allocator allocator(cpu().backend());
  void* a = allocator.allocate(512);
  void* b = allocator.allocate(5000);
  EXPECT_EQ(allocator.stats().in_use, 512u + 5120u);
  allocator.release(b, 5000);
  EXPECT_EQ(allocator.stats().in_use, 512u);
  EXPECT_EQ(allocator.stats().peak, 512u + 5120u);
  allocator.trim();
  EXPECT_EQ(allocator.stats().cached, 0u);
  allocator.release(a, 512);
}

TEST(Allocator, TheCapHoldsAndGivesTheCacheBackFirst) {
  Allocator allocator(cpu().backend());
  allocator.set_cap(8192);
  void* a = allocator.allocate(4096);
  allocator.release(a, 4096);
  void* b = allocator.allocate(8192);  // fits only without the cached block
  expect_error([&] { allocator.allocate(1); }, {"[allocator] out of memory", "8192 in use", "cap 8192"});
  allocator.release(b, 8192);
}

}  // namespace
}  // namespace alma::test
