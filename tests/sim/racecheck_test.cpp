// racecheck: each planted race is reported in every order of threads, also where the order hides it; its mended twin is not.
#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

class Racecheck : public CheckedTest {
 protected:
  unsigned checks() const override { return alma_sim_racecheck; }
};
INSTANTIATE_TEST_SUITE_P(Orders, Racecheck, testing::ValuesIn(all_orders), order_name);

// A block's sum by its first thread, `rounds` times. One barrier of three can be left out.
enum Barrier { none, after_write, before_reuse, end_of_loop };
__global__ void sums(const int* x, int* y, int rounds, Barrier left_out) {
  ALMA_SHARED(int, buffer, [64]);
  ALMA_SHARED(int, total, [1]);
  const int i = static_cast<int>(threadIdx.x);
  for (int round = 0; round < rounds; ++round) {
    store<int>(&buffer[i], load<int>(x + 64 * round + i));  // first store
    if (left_out != after_write) __syncthreads();
    if (i == 0) {
      int sum = 0;
      for (int j = 0; j < 64; ++j) sum += load<int>(&buffer[j]);  // first load
      store<int>(&total[0], sum);
    }
    if (left_out != before_reuse) __syncthreads();
    store<int>(&buffer[63 - i], load<int>(x + 64 * round + i));  // second store
    __syncthreads();
    const int neighbour = load<int>(&buffer[(i + 1) % 64]);  // second load
    store<int>(y + 64 * round + i, load<int>(&total[0]) + neighbour);
    if (left_out != end_of_loop) __syncthreads();
  }
}

void run_sums(Barrier left_out) {
  DeviceArray<int> x(std::vector<int>(128, 1)), y(128);
  launch(sums, 1, 64, 0, nullptr, x.data(), y.data(), 2, left_out);  // launch of sums
  EXPECT_EQ(y.values(), std::vector<int>(128, 65));
}

TEST_P(Racecheck, WithAllBarriersThereIsNothingToSay) { EXPECT_NO_THROW(run_sums(none)); }

TEST_P(Racecheck, ReadAfterWrite) {
  expect_report([] { run_sums(after_write); },
                {"racecheck: ", " at byte ", " of buffer (256 bytes, shared), which no barrier separates from the ",
                 place_of("first store"), place_of("first load"), "block (0, 0, 0)", "thread (0, 0, 0)",
                 "of sums launched at " + place_of("launch of sums")});
}
TEST_P(Racecheck, ReuseOfABuffer) {
  expect_report([] { run_sums(before_reuse); }, {"of buffer (256 bytes, shared), which no barrier separates from the ",
                                                 place_of("first load"), place_of("second store"), "thread (0, 0, 0)"});
}
TEST_P(Racecheck, EndOfALoop) {
  expect_report([] { run_sums(end_of_loop); }, {"of buffer (256 bytes, shared), which no barrier separates from the ",
                                                place_of("first store"), place_of("second load")});
}

// Lanes of one warp: __syncwarp orders their memory, a shuffle does not.
enum Between { nothing, syncwarp, shuffle, half_syncwarp };
__global__ void exchange(int* y, Between between) {
  ALMA_SHARED(int, buffer, [32]);
  const unsigned lane = threadIdx.x;
  store<int>(&buffer[lane], static_cast<int>(lane));  // own
  if (between == syncwarp) __syncwarp();
  if (between == half_syncwarp) __syncwarp(lane < 16 ? 0xffffu : 0xffff0000u);
  if (between == shuffle) __shfl_xor_sync(0xffffffffu, static_cast<int>(lane), 1);
  int value = load<int>(&buffer[lane ^ 1]);                             // near
  if (between == half_syncwarp) value = load<int>(&buffer[lane ^ 16]);  // far
  store<int>(y + lane, value);
}

TEST_P(Racecheck, OnlySyncwarpOrdersTheLanesOfAWarp) {
  DeviceArray<int> y(32);
  const auto run = [&](Between between) { launch(exchange, 1, 32, 0, nullptr, y.data(), between); };
  EXPECT_NO_THROW(run(syncwarp));
  expect_report([&] { run(nothing); }, {"of buffer (128 bytes, shared)", place_of("own"), place_of("near")});
  expect_report([&] { run(shuffle); }, {"of buffer (128 bytes, shared)", place_of("own"), place_of("near")});
  expect_report([&] { run(half_syncwarp); }, {"of buffer (128 bytes, shared)", place_of("own"), place_of("far")});
}

// Another warp is not ordered by __syncwarp.
__global__ void exchange_between_warps(int* y, bool barrier) {
  ALMA_SHARED(int, buffer, [64]);
  store<int>(&buffer[threadIdx.x], 1);  // of own warp
  __syncwarp();
  if (barrier) __syncthreads();
  const int value = load<int>(&buffer[threadIdx.x ^ 32]);  // of other warp
  store<int>(y + threadIdx.x, value);
}

TEST_P(Racecheck, WarpsNeedABarrier) {
  DeviceArray<int> y(64);
  EXPECT_NO_THROW(launch(exchange_between_warps, 1, 64, 0, nullptr, y.data(), true));
  expect_report([&] { launch(exchange_between_warps, 1, 64, 0, nullptr, y.data(), false); },
                {"of buffer (256 bytes, shared)", place_of("of own warp"), place_of("of other warp")});
}

// Planted: blocks of one launch that read (shift 32) or write (shift 1) what another block writes.
__global__ void across_blocks(int* x, int read_shift, int write_shift) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), n = static_cast<int>(gridDim.x * blockDim.x);
  const int value = load<int>(x + (i + read_shift) % n);  // of other block
  __syncthreads();
  store<int>(x + i * write_shift, value + 1);
}

TEST_P(Racecheck, NoBarrierOrdersTheBlocksOfALaunch) {
  DeviceArray<int> x(std::vector<int>(64, 1));
  const auto run = [&](int read_shift, int write_shift) {
    launch(across_blocks, 2, 32, 0, nullptr, x.data(), read_shift, write_shift);
  };
  EXPECT_NO_THROW(run(0, 1));
  EXPECT_NO_THROW(run(0, 1));  // a launch comes after the one before it
  expect_report([&] { run(32, 1); }, {"of allocation ", "(256 bytes), which no barrier separates from the ",
                                      place_of("of other block"), " by thread (", "of block ("});
  expect_report([&] { run(0, 0); }, {"store at byte 0 of allocation ", "which no barrier separates from the "});
}

// Bytes of one word belong to different threads, which is no race; the same byte is one.
__global__ void neighbouring_bytes(std::uint8_t* x, unsigned per_thread) {
  store<std::uint8_t>(x + threadIdx.x / per_thread, std::uint8_t{1});  // byte
}

TEST_P(Racecheck, BytesAreToldApart) {
  DeviceArray<std::uint8_t> x(64);
  EXPECT_NO_THROW(launch(neighbouring_bytes, 1, 64, 0, nullptr, x.data(), 1u));
  expect_report([&] { launch(neighbouring_bytes, 1, 64, 0, nullptr, x.data(), 2u); },
                {"(64 bytes), which no barrier separates from the store at " + place_of("byte")});
}

}  // namespace
}  // namespace alma::test
