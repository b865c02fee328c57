// What is undefined on a GPU ends in a clear Error, in every order, and the simulator goes on working.
#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

class Mistakes : public SimTest {
 protected:
  void TearDown() override {
    DeviceArray<int> out(64);
    launch(works, 2, 32, 0, nullptr, out.data());
    EXPECT_EQ(out.values(), std::vector<int>(64, 32)) << "the simulator is broken after the error";
    SimTest::TearDown();
  }
  static void works(int* out) { store<int>(out + blockIdx.x * 32 + threadIdx.x, __syncthreads_count(1)); }
};
INSTANTIATE_TEST_SUITE_P(Orders, Mistakes, testing::ValuesIn(all_orders), order_name);

__global__ void half_at_barrier_half_in_warp() {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncwarp();
  }
}

TEST_P(Mistakes, DeadlockIsReported) {
  const std::string error = error_of([] { launch(half_at_barrier_half_in_warp, 2, 32, 0, nullptr); });
  expect_has(error, "deadlock");
  expect_has(error, "16 threads");
  expect_has(error, "at the barrier mistakes_test.cpp:");
  expect_has(error, "in the warp operation mistakes_test.cpp:");
}

__global__ void two_barriers() {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

TEST_P(Mistakes, DivergentBarrierIsReported) {
  const std::string error = error_of([] { launch(two_barriers, 1, 64, 0, nullptr); });
  expect_has(error, "different barriers");
  expect_has(error, "mistakes_test.cpp:");
}

__global__ void shuffle_without_half(int* out) {
  int value = static_cast<int>(threadIdx.x);
  if (threadIdx.x < 16) value = __shfl_xor_sync(0xffffffffu, value, 1);
  store<int>(out + threadIdx.x, value);
}

TEST_P(Mistakes, ShuffleThatNamesLanesWhichDoNotComeIsReported) {
  DeviceArray<int> out(32);
  const std::string error = error_of([&] { launch(shuffle_without_half, 1, 32, 0, nullptr, out.data()); });
  expect_has(error, "exit");
  expect_has(error, "warp operation");
}

__global__ void shuffle_from_outside(int* out) {
  int value = static_cast<int>(threadIdx.x);
  if (threadIdx.x < 8) value = __shfl_sync(0xffu, value, 9);
  store<int>(out + threadIdx.x, value);
}

TEST_P(Mistakes, ShuffleFromALaneOutsideTheMaskIsReported) {
  DeviceArray<int> out(32);
  const std::string error = error_of([&] { launch(shuffle_from_outside, 1, 32, 0, nullptr, out.data()); });
  expect_has(error, "a shuffle reads a lane that takes no part");
}

__global__ void shuffle_in_partial_warp(int* out) {
  store<int>(out + threadIdx.x, __shfl_down_sync(0xffffffffu, static_cast<int>(threadIdx.x), 1));
}

TEST_P(Mistakes, ShuffleFromALaneThatDoesNotExistIsReported) {
  DeviceArray<int> out(20);
  const std::string error = error_of([&] { launch(shuffle_in_partial_warp, 1, 20, 0, nullptr, out.data()); });
  expect_has(error, "a shuffle reads a lane that takes no part");
}

__global__ void different_operations(int* out) {
  int value = static_cast<int>(threadIdx.x);
  if (threadIdx.x % 2 == 0) {
    value = __shfl_xor_sync(0xffffffffu, value, 1);
  } else {
    value = __reduce_add_sync(0xffffffffu, value);
  }
  store<int>(out + threadIdx.x, value);
}

TEST_P(Mistakes, DifferentOperationsOfOneWarpAreReported) {
  DeviceArray<int> out(32);
  const std::string error = error_of([&] { launch(different_operations, 1, 32, 0, nullptr, out.data()); });
  expect_has(error, "different operations");
}

__global__ void not_in_mask() { __syncwarp(1u << ((threadIdx.x + 1) % 32)); }

TEST_P(Mistakes, LaneThatItsMaskDoesNotNameIsReported) {
  expect_has(error_of([] { launch(not_in_mask, 1, 32, 0, nullptr); }), "mask does not name it");
}

__global__ void load_quad(const float* x, float* y) { store<float4>(y, load<float4>(x)); }

TEST_P(Mistakes, MisalignedVectorAccessIsReported) {
  DeviceArray<float> x(8), y(8);
  expect_has(error_of([&] { launch(load_quad, 1, 1, 0, nullptr, x.data() + 1, y.data()); }), "misaligned load");
  expect_has(error_of([&] { launch(load_quad, 1, 1, 0, nullptr, x.data(), y.data() + 2); }), "misaligned store");
}

__global__ void too_much_shared() {
  ALMA_SHARED(float, a, [8192]);
  ALMA_SHARED(float, b, [8192]);
  store<float>(&a[0], 1);
  store<float>(&b[0], 1);
}

TEST_P(Mistakes, SharedMemoryIsLimited) {
  expect_has(error_of([] { launch(too_much_shared, 1, 1, 0, nullptr); }), "no shared memory left");
  expect_has(error_of([] { launch(not_in_mask, 1, 1, 50000, nullptr); }), "50000 bytes of shared memory");
}

TEST_P(Mistakes, LaunchConfigurationsAreChecked) {
  const dim3 ok(1);
  for (const dim3 block : {dim3(0), dim3(1025), dim3(32, 33), dim3(1, 1, 65)})
    expect_has(error_of([&] { launch(not_in_mask, ok, block, 0, nullptr); }), "invalid configuration");
  for (const dim3 grid : {dim3(0), dim3(0x80000000u), dim3(1, 65536), dim3(1, 1, 65536)})
    expect_has(error_of([&] { launch(not_in_mask, grid, ok, 0, nullptr); }), "invalid configuration");
}

__global__ void launches_again() { launch(not_in_mask, 1, 1, 0, nullptr); }

TEST_P(Mistakes, KernelsDoNotLaunchKernels) {
  expect_has(error_of([] { launch(launches_again, 1, 1, 0, nullptr); }), "a kernel launches a kernel");
}

}  // namespace
}  // namespace alma::test
