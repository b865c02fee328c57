// memcheck: each planted fault is reported with its place, and its mended twin is not.
#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

class Memcheck : public CheckedTest {
 protected:
  unsigned checks() const override { return alma_sim_memcheck; }
};
INSTANTIATE_TEST_SUITE_P(Orders, Memcheck, testing::ValuesIn(all_orders), order_name);

// y[i] = x[i + shift]; planted: shift 1 reads behind the end, -1 before the beginning.
__global__ void shifted_load(const float* x, float* y, int shift) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const float value = load<float>(x + i + shift);  // shifted load
  store<float>(y + i, value);
}

TEST_P(Memcheck, LoadOutOfBoundsOfGlobalMemory) {
  DeviceArray<float> x(std::vector<float>(64, 1)), y(64);
  EXPECT_NO_THROW(launch(shifted_load, 2, 32, 0, nullptr, x.data(), y.data(), 0));
  expect_report([&] { launch(shifted_load, 2, 32, 0, nullptr, x.data(), y.data(), 1); },
                {"memcheck: load of 4 bytes at byte 256 of allocation ",
                 "(256 bytes), out of its bounds, at " + place_of("shifted load"), "block (1, 0, 0), thread (31, 0, 0)",
                 "of shifted_load launched at memcheck_test.cpp:"});
  expect_report([&] { launch(shifted_load, 2, 32, 0, nullptr, x.data(), y.data(), -1); },
                {"memcheck: load of 4 bytes 4 bytes before allocation ", "block (0, 0, 0), thread (0, 0, 0)"});
}

__global__ void store_up_to(int* y, int last) {
  if (static_cast<int>(threadIdx.x) <= last) store<int>(y + threadIdx.x, 1);  // store up to
}

TEST_P(Memcheck, StoreOutOfBoundsOfGlobalMemory) {
  DeviceArray<int> y(20);
  EXPECT_NO_THROW(launch(store_up_to, 1, 32, 0, nullptr, y.data(), 19));
  expect_report([&] { launch(store_up_to, 1, 32, 0, nullptr, y.data(), 20); },
                {"memcheck: store of 4 bytes at byte 80 of allocation ",
                 "(80 bytes), out of its bounds, at " + place_of("store up to"), "block (0, 0, 0), thread (20, 0, 0)",
                 "of store_up_to launched at"});
}

TEST_P(Memcheck, AnAccessThatReachesHalfOut) {
  DeviceArray<float> x(std::vector<float>(6, 1)), y(8);
  const auto copy_quad = +[](const float* from, float* to) { store<float4>(to, load<float4>(from)); };
  EXPECT_NO_THROW(launch(copy_quad, 1, 1, 0, nullptr, x.data(), y.data()));
  expect_report([&] { launch(copy_quad, 1, 1, 0, nullptr, x.data() + 4, y.data()); },
                {"memcheck: load of 16 bytes at byte 16 of allocation ", "(24 bytes), out of its bounds"});
}

TEST_P(Memcheck, MemoryOfTheHost) {
  DeviceArray<float> y(1);
  static const float on_host = 1;
  expect_report([&] { launch(shifted_load, 1, 1, 0, nullptr, &on_host, y.data(), 0); },
                {"memcheck: load of 4 bytes, which is not memory of the device, at " + place_of("shifted load")});
}

// Planted: `extra` elements more than the arrays have.
__global__ void reverse_in_shared(int* y, int extra) {
  ALMA_SHARED(int, before, [8]);
  ALMA_SHARED(int, buffer, [32]);
  ALMA_DYNAMIC_SHARED(int, given);
  const int i = static_cast<int>(threadIdx.x);
  if (i < 8) store<int>(&before[i], 0);
  store<int>(&buffer[i], i);
  if (i < 16) store<int>(given + i + (extra == 3 ? 1 : 0), i);   // to given
  if (extra == 1 && i == 31) store<int>(&buffer[0] + i + 1, i);  // to buffer
  __syncthreads();
  const int value = load<int>(&buffer[31 - i] + (extra == 2 ? 1 : 0));  // from buffer
  store<int>(y + i, value);
}

TEST_P(Memcheck, SharedMemoryOutOfBounds) {
  DeviceArray<int> y(32);
  const auto run = [&](int extra) { launch(reverse_in_shared, 1, 32, 16 * sizeof(int), nullptr, y.data(), extra); };
  EXPECT_NO_THROW(run(0));
  expect_report([&] { run(1); },
                {"memcheck: store of 4 bytes at byte 128 of buffer (128 bytes, shared), out of its bounds, at " +
                 place_of("to buffer") + ", block (0, 0, 0), thread (31, 0, 0)"});
  expect_report([&] { run(2); },
                {"memcheck: load of 4 bytes at byte 128 of buffer (128 bytes, shared), out of its bounds, at " +
                 place_of("from buffer") + ", block (0, 0, 0), thread (0, 0, 0)"});
  expect_report(
      [&] { run(3); },
      {"memcheck: store of 4 bytes at byte 64 of the dynamic shared memory (64 bytes, shared), out of its bounds, at " +
       place_of("to given") + ", block (0, 0, 0), thread (15, 0, 0)"});
}

// Planted: with `written` below 64, the last thread reads what nobody wrote, in the second block too.
__global__ void read_shared(int* y, int written) {
  ALMA_SHARED(int, buffer, [64]);
  const int i = static_cast<int>(threadIdx.x);
  if (i < written || (written < 64 && blockIdx.x == 0)) store<int>(&buffer[i], i);
  __syncthreads();
  const int value = load<int>(&buffer[i]);  // perhaps unwritten
  store<int>(y + i + 64 * static_cast<int>(blockIdx.x), value);
}

TEST_P(Memcheck, SharedMemoryNeverWritten) {
  DeviceArray<int> y(128);
  EXPECT_NO_THROW(launch(read_shared, 2, 64, 0, nullptr, y.data(), 64));
  expect_report([&] { launch(read_shared, 2, 64, 0, nullptr, y.data(), 63); },
                {"memcheck: load of 4 bytes at byte 252 of buffer (256 bytes, shared), which were never written, at " +
                 place_of("perhaps unwritten") + ", block (1, 0, 0), thread (63, 0, 0) of read_shared launched at"});
}

TEST_P(Memcheck, GlobalMemoryNeverWritten) {
  DeviceArray<float> x(64), y(64);
  const std::vector<float> values(64, 1);
  const auto fill_first = [&](std::size_t count) {
    cudaMemcpyAsync(x.data(), values.data(), count * sizeof(float), cudaMemcpyHostToDevice, nullptr);
  };
  fill_first(63);
  expect_report(
      [&] { launch(shifted_load, 2, 32, 0, nullptr, x.data(), y.data(), 0); },
      {"memcheck: load of 4 bytes at byte 252 of allocation ",
       "(256 bytes), which were never written, at " + place_of("shifted load") + ", block (1, 0, 0), thread (31, 0, 0)"});
  fill_first(64);
  EXPECT_NO_THROW(launch(shifted_load, 2, 32, 0, nullptr, x.data(), y.data(), 0));
  EXPECT_EQ(y.values(), values);
}

TEST_P(Memcheck, CopiesCarryWhatWasNeverWritten) {
  DeviceArray<float> x(8), y(8);
  cudaMemsetAsync(x.data(), 0, 28, nullptr);
  cudaMemcpyAsync(y.data(), x.data(), 32, cudaMemcpyDeviceToDevice, nullptr);  // as far as that goes
  expect_report([&] { y.values(); }, {"[cudaMemcpyAsync] memcheck: the source reads byte 28 of allocation ",
                                      "(32 bytes), which was never written"});
  cudaMemsetAsync(y.data() + 7, 0, 4, nullptr);
  EXPECT_EQ(y.values(), std::vector<float>(8, 0));
}

TEST_P(Memcheck, FreedMemory) {
  DeviceArray<float> y(32);
  float* x = nullptr;
  ASSERT_EQ(cudaMalloc(reinterpret_cast<void**>(&x), 32 * sizeof(float)), cudaSuccess);
  cudaMemsetAsync(x, 0, 32 * sizeof(float), nullptr);
  EXPECT_NO_THROW(launch(shifted_load, 1, 32, 0, nullptr, x, y.data(), 0));
  cudaFree(x);
  DeviceArray<float> next(32);  // does not lie where x lay
  expect_report([&] { launch(shifted_load, 1, 32, 0, nullptr, x, y.data(), 0); },
                {"memcheck: load of 4 bytes at byte ", "(128 bytes), which has been freed, at " + place_of("shifted load")});
}

// Waits for a thread of the same block, which on a GPU may never run beside it.
__global__ void spin(int* flag) {
  if (threadIdx.x != blockDim.x / 2) {
    while (load<int>(flag) == 0) {  // spin
    }
  }
  store<int>(flag, 1);
}

TEST_P(Memcheck, AThreadThatWaitsForAnotherDoesNotHangTheProgram) {
  DeviceArray<int> flag(std::vector<int>{0});
  expect_report([&] { launch(spin, 1, 64, 0, nullptr, flag.data()); },
                {"16777216 accesses without a barrier or warp operation: an endless loop at " + place_of("spin")});
}

TEST_P(Memcheck, WhatIsWrittenWhileItIsOffCounts) {
  DeviceArray<float> x(64), y(64);
  alma_sim_set_checks(0);
  launch(shifted_load, 2, 32, 0, nullptr, y.data(), x.data(), 0);
  alma_sim_set_checks(checks());
  EXPECT_NO_THROW(launch(shifted_load, 2, 32, 0, nullptr, x.data(), y.data(), 0));
}

TEST(MemcheckOff, SaysNothing) {
  DeviceArray<float> x(64), y(64);
  EXPECT_NO_THROW(launch(shifted_load, 2, 32, 0, nullptr, x.data(), y.data(), 0));
}

}  // namespace
}  // namespace alma::test
