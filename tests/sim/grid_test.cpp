// Whole grids: counting, pools, equal bits in every order.
#include <numeric>

#include "base/thread_pool.h"
#include "kernels/sim/stream.h"
#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

// Sums of chunks in a fixed order, with barriers and shuffles.
__global__ void chunk_sums(const float* x, float* sums, int n) {
  ALMA_SHARED(float, partial, [8]);
  const int chunk = 1000, begin = static_cast<int>(blockIdx.x) * chunk;
  float sum = 0;
  for (int i = begin + static_cast<int>(threadIdx.x); i < begin + chunk && i < n; i += 256) sum += load<float>(x + i);
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  if (threadIdx.x % 32 == 0) store<float>(&partial[threadIdx.x / 32], sum);
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int warp = 1; warp < 8; ++warp) sum += load<float>(&partial[warp]);
  store<float>(sums + blockIdx.x, sum);
}

std::vector<float> run_chunk_sums(cudaStream_t stream) {
  const int n = 100'123;
  std::vector<float> x(n);
  for (int i = 0; i < n; ++i) x[static_cast<std::size_t>(i)] = 1.0f / static_cast<float>(i + 1);
  DeviceArray<float> in(x), out(101);
  launch(chunk_sums, 101, 256, 0, stream, in.data(), out.data(), n);
  return out.values();
}

TEST(SimGrid, SameBitsInEveryOrderAndWithEveryPool) {
  alma_sim_set_order(alma_sim_sequential, 1);
  const std::vector<float> expected = run_chunk_sums(nullptr);
  double total = 0;
  for (const float sum : expected) total += sum;
  EXPECT_NEAR(total, 12.0914, 1e-3);  // the 100,123rd harmonic number
  for (const int threads : {1, 2, 5}) {
    const std::unique_ptr<ThreadPool> pool = make_thread_pool(threads);
    cudaStream_t stream = nullptr;
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    sim::set_pool(stream, pool.get());
    for (const OrderCase& order : all_orders) {
      alma_sim_set_order(order.order, order.seed);
      EXPECT_EQ(run_chunk_sums(stream), expected) << order.name << ", " << threads << " threads";
    }
    cudaStreamDestroy(stream);
  }
  alma_sim_set_order(alma_sim_sequential, 1);
}

__global__ void note_order(int* order, int* next) {
  if (threadIdx.x == 0) store<int>(order + (*next)++, static_cast<int>(blockIdx.x));
}

std::vector<int> block_order(AlmaSimOrder order, std::uint64_t seed) {
  alma_sim_set_order(order, seed);
  DeviceArray<int> seen(12), next(std::vector<int>{0});
  launch(note_order, 12, 32, 0, nullptr, seen.data(), next.data());
  alma_sim_set_order(alma_sim_sequential, 1);
  return seen.values();
}

TEST(SimGrid, OrdersAreWhatTheyAreCalled) {
  std::vector<int> ascending(12);
  std::iota(ascending.begin(), ascending.end(), 0);
  EXPECT_EQ(block_order(alma_sim_sequential, 1), ascending);
  EXPECT_EQ(block_order(alma_sim_reverse, 1), std::vector<int>(ascending.rbegin(), ascending.rend()));
  std::vector<int> random = block_order(alma_sim_random, 5);
  EXPECT_NE(random, ascending);
  EXPECT_EQ(random, block_order(alma_sim_random, 5));
  std::sort(random.begin(), random.end());
  EXPECT_EQ(random, ascending);
}

__global__ void fail_in_one_block() {
  if (blockIdx.x == 37) __syncwarp(1u << ((threadIdx.x + 1) % 32));
}

TEST(SimGrid, AnErrorInABlockOnThePoolReachesTheCaller) {
  const std::unique_ptr<ThreadPool> pool = make_thread_pool(3);
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  sim::set_pool(stream, pool.get());
  expect_has(error_of([&] { launch(fail_in_one_block, 100, 256, 0, stream); }), "block (37, 0, 0)");
  EXPECT_EQ(run_chunk_sums(stream).size(), 101u);
  cudaStreamDestroy(stream);
}

TEST(SimGrid, LaunchesAreCounted) {
  const std::uint64_t before = alma_sim_launches();
  for (int i = 0; i < 3; ++i) run_chunk_sums(nullptr);
  EXPECT_EQ(alma_sim_launches() - before, 3u);
}

}  // namespace
}  // namespace alma::test
