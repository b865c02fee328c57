// Warp operations against plain loops over the lanes.
#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

class WarpOperations : public SimTest {};
INSTANTIATE_TEST_SUITE_P(Orders, WarpOperations, testing::ValuesIn(all_orders), order_name);

constexpr unsigned kAll = 0xffffffffu;

enum class Kind { index, up, down, bits };

template <class T>
__global__ void shuffle_all(T* out, Kind kind, int operand, int width) {
  const T value = static_cast<T>(100 + threadIdx.x);
  T result{};
  switch (kind) {
    case Kind::index: result = __shfl_sync(kAll, value, operand, width); break;
    case Kind::up: result = __shfl_up_sync(kAll, value, static_cast<unsigned>(operand), width); break;
    case Kind::down: result = __shfl_down_sync(kAll, value, static_cast<unsigned>(operand), width); break;
    case Kind::bits: result = __shfl_xor_sync(kAll, value, operand, width); break;
  }
  store<T>(out + threadIdx.x, result);
}

// The CUDA C++ programming guide's table: lanes of a segment of `width`; out of the segment means the lane's own value.
int source_lane(Kind kind, int lane, int operand, int width) {
  const int base = lane / width * width, within = lane % width;
  switch (kind) {
    case Kind::index: return base + operand % width;
    case Kind::up: return within - operand >= 0 ? lane - operand : lane;
    case Kind::down: return within + operand < width ? lane + operand : lane;
    case Kind::bits: return (lane ^ operand) < base + width ? lane ^ operand : lane;
  }
  return -1;
}

template <class T>
void expect_shuffles() {
  for (const int width : {1, 2, 8, 32}) {
    for (const Kind kind : {Kind::index, Kind::up, Kind::down, Kind::bits}) {
      for (const int operand : {0, 1, 3, 16, 31}) {
        DeviceArray<T> out(96);
        launch(shuffle_all<T>, 1, 96, 0, nullptr, out.data(), kind, operand, width);
        const std::vector<T> values = out.values();
        for (int thread = 0; thread < 96; ++thread) {
          const int source = thread / 32 * 32 + source_lane(kind, thread % 32, operand, width);
          ASSERT_EQ(values[static_cast<std::size_t>(thread)], static_cast<T>(100 + source))
              << "kind " << static_cast<int>(kind) << " operand " << operand << " width " << width << " thread " << thread;
        }
      }
    }
  }
}

TEST_P(WarpOperations, ShufflesOfEveryKindAndWidth) {
  expect_shuffles<float>();
  expect_shuffles<int>();
  expect_shuffles<double>();
}

__global__ void votes(unsigned* out, unsigned pattern) {
  const bool mine = (pattern >> threadIdx.x % 32 & 1) != 0;
  const unsigned ballot = __ballot_sync(kAll, mine);
  const unsigned any = __any_sync(kAll, mine) != 0, all = __all_sync(kAll, mine) != 0;
  store<unsigned>(out + 2 * threadIdx.x, ballot);
  store<unsigned>(out + 2 * threadIdx.x + 1, 2 * all + any);
}

TEST_P(WarpOperations, VotesOfFullAndPartialWarps) {
  for (const unsigned threads : {1u, 5u, 32u, 45u}) {
    for (const unsigned pattern : {0u, 1u, 0x80000001u, 0x1fu, kAll}) {
      DeviceArray<unsigned> out(2 * threads);
      launch(votes, 1, threads, 0, nullptr, out.data(), pattern);
      const std::vector<unsigned> values = out.values();
      for (unsigned t = 0; t < threads; ++t) {
        const unsigned lanes = std::min(32u, threads - t / 32 * 32), present = lanes == 32 ? kAll : (1u << lanes) - 1;
        ASSERT_EQ(values[2 * t], pattern & present);
        ASSERT_EQ(values[2 * t + 1], 2u * ((pattern & present) == present) + ((pattern & present) != 0));
      }
    }
  }
}

__global__ void reductions(int* out) {
  const int lane = static_cast<int>(threadIdx.x % 32), value = (lane * 7) % 32 - 11;
  store<int>(out + 3 * threadIdx.x, __reduce_add_sync(kAll, value));
  store<int>(out + 3 * threadIdx.x + 1, __reduce_min_sync(kAll, value));
  store<int>(out + 3 * threadIdx.x + 2, __reduce_max_sync(kAll, value));
}

TEST_P(WarpOperations, IntegerReductions) {
  DeviceArray<int> out(3 * 64);
  launch(reductions, 1, 64, 0, nullptr, out.data());
  const std::vector<int> values = out.values();
  for (std::size_t t = 0; t < 64; ++t) {
    EXPECT_EQ(values[3 * t], 31 * 32 / 2 - 11 * 32);
    EXPECT_EQ(values[3 * t + 1], -11);
    EXPECT_EQ(values[3 * t + 2], 20);
  }
}

// Halves of a warp take different branches, each with its own mask, and meet again.
__global__ void halves(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  int value = lane;
  if (lane < 16) {
    value = __shfl_xor_sync(0x0000ffffu, value, 1);
  } else {
    value = __shfl_xor_sync(0xffff0000u, value, 2);
    value = __shfl_xor_sync(0xffff0000u, value, 4);
  }
  __syncwarp();
  store<int>(out + lane, value);
}

TEST_P(WarpOperations, HalvesOfAWarpWorkApart) {
  DeviceArray<int> out(32);
  launch(halves, 1, 32, 0, nullptr, out.data());
  const std::vector<int> values = out.values();
  for (int lane = 0; lane < 32; ++lane)
    EXPECT_EQ(values[static_cast<std::size_t>(lane)], lane < 16 ? lane ^ 1 : lane ^ 6) << lane;
}

__global__ void exchange_in_shared(int* out) {
  ALMA_SHARED(int, buffer, [64]);
  const unsigned thread = threadIdx.x;
  store<int>(&buffer[thread], static_cast<int>(thread));
  __syncwarp();
  store<int>(out + thread, load<int>(&buffer[thread ^ 1]));
}

TEST_P(WarpOperations, SyncwarpOrdersSharedMemoryWithinAWarp) {
  DeviceArray<int> out(64);
  launch(exchange_in_shared, 1, 64, 0, nullptr, out.data());
  const std::vector<int> values = out.values();
  for (int t = 0; t < 64; ++t) EXPECT_EQ(values[static_cast<std::size_t>(t)], t ^ 1);
}

}  // namespace
}  // namespace alma::test
