#include "engine/allocator.h"

#include "engine/ops_elementwise.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/no_memory.h"

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

// Tensors go when the stack is unwound because memory has run out.
TEST(Allocator, LettingGoTakesNoMemory) {
  Allocator allocator(cpu().backend());
  MemoryPool pool;
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (const bool pooled : {false, true}) {
    allocator.use_pool(pooled ? &pool : nullptr);
    for (const std::size_t bytes : {100u, 5000u, 3u << 20})  // the last is beyond the sizes that have a list from the start
      for (int i = 0; i < 100; ++i) blocks.emplace_back(allocator.allocate(bytes), bytes);
  }
  allocator.use_pool(nullptr);
  {
    const NoMemory none;
    for (std::size_t i = 0; i < blocks.size(); i += 2) allocator.release(blocks[i].first, blocks[i].second);
    allocator.dissolve(pool);
    for (std::size_t i = 1; i < blocks.size(); i += 2) allocator.release(blocks[i].first, blocks[i].second);
    EXPECT_EQ(allocator.stats().in_use, 0u);
    allocator.trim();
  }
  EXPECT_EQ(allocator.stats().cached, 0u);
}

TEST(Allocator, ATapeGoesWithoutMemory) {
  Tensor x = Tensor::zeros(cpu(), {4}, DType::f32);
  x.set_requires_grad(true);
  Tensor y = x;
  for (int i = 0; i < 1000; ++i) y = relu(y) - y;
  const NoMemory none;
  y = Tensor();
}

}  // namespace
}  // namespace alma::test
