// Blocks: indices, barriers, shared memory, exits.
#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

class Block : public SimTest {};
INSTANTIATE_TEST_SUITE_P(Orders, Block, testing::ValuesIn(all_orders), order_name);

__global__ void record_indices(int* seen) {
  const int block = static_cast<int>(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
  const int threads = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
  const int thread = static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
  store<int>(seen + block * threads + thread, 1000 * block + thread);
}

TEST_P(Block, EveryThreadOfOddShapesRunsOnceWithItsIndex) {
  const dim3 grids[] = {{1, 1, 1}, {7, 1, 1}, {3, 5, 2}};
  const dim3 blocks[] = {{1, 1, 1}, {31, 1, 1}, {33, 1, 1}, {7, 5, 3}, {257, 1, 1}, {1024, 1, 1}, {16, 1, 64}};
  for (const dim3 grid : grids) {
    for (const dim3 block : blocks) {
      const int threads = static_cast<int>(block.x * block.y * block.z), all = static_cast<int>(grid.x * grid.y * grid.z);
      DeviceArray<int> seen(static_cast<std::size_t>(threads * all));
      launch(record_indices, grid, block, 0, nullptr, seen.data());
      const std::vector<int> values = seen.values();
      for (int b = 0; b < all; ++b)
        for (int t = 0; t < threads; ++t) ASSERT_EQ(values[static_cast<std::size_t>(b * threads + t)], 1000 * b + t);
    }
  }
}

// Neighbours exchange values `rounds` times, with both barriers that this needs.
__global__ void rotate(const int* in, int* out, int rounds) {
  ALMA_SHARED(int, buffer, [1024]);
  const unsigned threads = blockDim.x, thread = threadIdx.x;
  int value = load<int>(in + thread);
  for (int round = 0; round < rounds; ++round) {
    store<int>(&buffer[thread], value);
    __syncthreads();
    value = load<int>(&buffer[(thread + 1) % threads]);
    __syncthreads();
  }
  store<int>(out + thread, value);
}

TEST_P(Block, BarriersOrderSharedMemory) {
  for (const unsigned threads : {1u, 2u, 31u, 32u, 33u, 257u, 1024u}) {
    std::vector<int> in(threads), expected(threads);
    const unsigned rounds = 5;
    for (unsigned i = 0; i < threads; ++i) {
      in[i] = static_cast<int>(i * i);
      expected[i] = static_cast<int>((i + rounds) % threads * ((i + rounds) % threads));
    }
    DeviceArray<int> source(in), target(threads);
    launch(rotate, 1, threads, 0, nullptr, source.data(), target.data(), static_cast<int>(rounds));
    EXPECT_EQ(target.values(), expected) << threads << " threads";
  }
}

__global__ void unordered_rotate(int* out) {
  ALMA_SHARED(int, buffer, [64]);
  store<int>(&buffer[threadIdx.x], static_cast<int>(threadIdx.x));
  store<int>(out + threadIdx.x, load<int>(&buffer[(threadIdx.x + 1) % 64]));
}

TEST(BlockMistakes, MissingBarrierShowsAsMemoryNeverWritten) {
  DeviceArray<int> out(64);
  launch(unordered_rotate, 1, 64, 0, nullptr, out.data());
  EXPECT_EQ(out.values()[0], -1);  // the neighbour has not run yet: 0xff bytes
}

__global__ void vote(int* counts, int limit) {
  const int thread = static_cast<int>(threadIdx.x);
  const int count = __syncthreads_count(thread < limit);
  const int any = __syncthreads_or(thread == limit);
  const int all = __syncthreads_and(thread < limit);
  store<int>(counts + thread, 100000 * all + 10000 * any + count);
}

TEST_P(Block, BarriersVote) {
  for (const unsigned threads : {1u, 33u, 1000u}) {
    for (const int limit : {0, 20, 1000}) {
      DeviceArray<int> counts(threads);
      launch(vote, 1, threads, 0, nullptr, counts.data(), limit);
      const int all = static_cast<int>(threads), count = std::min(limit, all);
      const int expected = 100000 * (limit >= all) + 10000 * (limit < all) + count;
      EXPECT_EQ(counts.values(), std::vector<int>(threads, expected)) << threads << " threads, limit " << limit;
    }
  }
}

// Threads that are not needed leave before the barrier; the others must not wait for them.
__global__ void early_exit(int* out, int stay) {
  ALMA_SHARED(int, total, [1]);
  if (static_cast<int>(threadIdx.x) >= stay) return;
  if (threadIdx.x == 0) store<int>(&total[0], 5);
  __syncthreads();
  store<int>(out + threadIdx.x, load<int>(&total[0]));
}

TEST_P(Block, BarriersDoNotWaitForThreadsThatHaveExited) {
  for (const int stay : {1, 32, 37, 100}) {
    DeviceArray<int> out(100);
    launch(early_exit, 3, 100, 0, nullptr, out.data(), stay);
    std::vector<int> expected(100, -1);
    std::fill_n(expected.begin(), stay, 5);
    EXPECT_EQ(out.values(), expected) << stay;
  }
}

__global__ void leave_in_shared(int* found) {
  ALMA_SHARED(int, kept, [4]);
  ALMA_DYNAMIC_SHARED(int, given);
  if (threadIdx.x > 0) return;
  store<int>(found + 2 * blockIdx.x, load<int>(&kept[3]));
  store<int>(found + 2 * blockIdx.x + 1, load<int>(given + 99));
  store<int>(&kept[3], 1);
  store<int>(given + 99, 1);
}

TEST_P(Block, SharedMemoryIsPoisonedForEveryBlock) {
  DeviceArray<int> found(20);
  launch(leave_in_shared, 10, 32, 400, nullptr, found.data());
  EXPECT_EQ(found.values(), std::vector<int>(20, -1));
}

template <int size>
__device__ int* static_buffer() {
  ALMA_SHARED(int, buffer, [size]);
  return buffer;
}

__global__ void separate_variables(int* same) {
  int *a = static_buffer<3>(), *b = static_buffer<5>(), *again = static_buffer<3>();
  if (threadIdx.x == 0) store<int>(same, (a == again ? 1 : 0) + (a + 3 <= b || b + 5 <= a ? 2 : 0));
}

TEST_P(Block, EachDeclarationIsAVariableOfItsOwn) {
  DeviceArray<int> same(1);
  launch(separate_variables, 1, 64, 0, nullptr, same.data());
  EXPECT_EQ(same.values()[0], 3);
}

}  // namespace
}  // namespace alma::test
