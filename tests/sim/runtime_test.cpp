// The simulated CUDA runtime: memory and copies, and what it refuses.
#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

TEST(SimRuntime, DeviceMemoryIsAlignedPoisonedAndLimited) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{255}, std::size_t{257}, std::size_t{100'003}}) {
    DeviceArray<std::uint8_t> memory(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 256, 0u);
    EXPECT_EQ(memory.values(), std::vector<std::uint8_t>(bytes, 0xff));
  }
  void* none = nullptr;
  EXPECT_EQ(cudaMalloc(&none, std::size_t{1} << 50), cudaErrorMemoryAllocation);
  EXPECT_EQ(none, nullptr);
}

TEST(SimRuntime, CopiesRows) {
  DeviceArray<int> source(std::vector<int>{1, 2, 3, 4, 5, 6}), target(std::vector<int>(8, 0));
  ASSERT_EQ(cudaMemcpy2DAsync(target.data(), 16, source.data(), 12, 8, 2, cudaMemcpyDeviceToDevice, nullptr), cudaSuccess);
  EXPECT_EQ(target.values(), (std::vector<int>{1, 2, 0, 0, 4, 5, 0, 0}));
}

TEST(SimRuntime, RefusesWrongMemory) {
  DeviceArray<int> device(4);
  int host[4] = {};
  const auto copy = [](void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    return error_of([=] { cudaMemcpyAsync(to, from, bytes, kind, nullptr); });
  };
  expect_has(copy(host, host, 16, cudaMemcpyHostToDevice), "the target");
  expect_has(copy(device.data(), device.data(), 16, cudaMemcpyHostToDevice), "is memory of the device, not of the host");
  expect_has(copy(device.data(), host, 20, cudaMemcpyHostToDevice), "20 bytes far");
  expect_has(copy(host, device.data() + 1, 16, cudaMemcpyDeviceToHost), "ends after 12");
  expect_has(copy(device.data(), host, 16, cudaMemcpyDefault), "kind");
  expect_has(
      error_of([&] { cudaMemcpy2DAsync(device.data(), 4, device.data(), 8, 8, 2, cudaMemcpyDeviceToDevice, nullptr); }),
      "larger than a pitch");
  expect_has(error_of([&] { cudaFree(host); }), "is not memory that this device gave");
  expect_has(error_of([&] { cudaMemsetAsync(host, 0, 4, nullptr); }), "not memory of the device");
}

__global__ void nothing() {}

// As CUDA does: a launch and an event belong to the device on which their stream was made, and each thread has a current
// one.
TEST(SimRuntime, RefusesAStreamOfAnotherDevice) {
  const AlmaSimDevice usual = alma_sim_device();
  AlmaSimDevice two = usual;
  two.devices = 2;
  alma_sim_set_device(two);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  cudaStream_t stream = nullptr;
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  EXPECT_NO_THROW(launch(nothing, 1, 1, 0, stream));
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  expect_report([&] { launch(nothing, 1, 1, 0, stream); },
                {"[launch] the stream belongs to device 1, the calling thread works with device 0"});
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(event, stream), cudaErrorInvalidResourceHandle);
  cudaEventDestroy(event);
  cudaStreamDestroy(stream);
  alma_sim_set_device(usual);
}

TEST(SimRuntime, RefusesWhatHasBeenDestroyed) {
  void* memory = nullptr;
  ASSERT_EQ(cudaMalloc(&memory, 64), cudaSuccess);
  ASSERT_EQ(cudaFree(memory), cudaSuccess);
  expect_has(error_of([&] { cudaFree(memory); }), "still in use");
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  expect_has(error_of([&] { cudaStreamSynchronize(stream); }), "[cudaStreamSynchronize] no such handle");
}

}  // namespace
}  // namespace alma::test
