// Order of streams: a missing wait is reported, or shows in what the host reads.
#include "tests/sim/sim_test.h"

#include <cstring>

namespace alma::test {
namespace {

class Streams : public testing::Test {
 protected:
  void SetUp() override {
    alma_sim_set_checks(alma_sim_streams);
    for (cudaStream_t* stream : {&first_, &second_})
      ASSERT_EQ(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), cudaSuccess);
    ASSERT_EQ(cudaHostAlloc(reinterpret_cast<void**>(&pinned_), 64 * sizeof(int), cudaHostAllocDefault), cudaSuccess);
    std::memset(pinned_, 0, 64 * sizeof(int));
  }
  void TearDown() override {
    cudaFreeHost(pinned_);
    cudaEventDestroy(event_);
    cudaStreamDestroy(first_);
    cudaStreamDestroy(second_);
    alma_sim_set_checks(0);
  }

  cudaStream_t first_ = nullptr, second_ = nullptr;
  cudaEvent_t event_ = nullptr;
  int* pinned_ = nullptr;
};

__global__ void add_one(const int* x, int* y) { store<int>(y + threadIdx.x, load<int>(x + threadIdx.x) + 1); }

TEST_F(Streams, AKernelThatReadsWhatAnotherStreamWrites) {
  DeviceArray<int> x(std::vector<int>(64, 1)), y(64), z(64);
  cudaStreamSynchronize(nullptr);
  const auto run = [&](auto wait) {
    launch(add_one, 1, 64, 0, first_, x.data(), y.data());  // the writer
    wait();
    launch(add_one, 1, 64, 0, second_, y.data(), z.data());  // the reader
    cudaStreamSynchronize(first_);
    cudaStreamSynchronize(second_);
  };
  expect_report([&] { run([] {}); },
                {"streams: add_one (" + place_of("the reader") + ") reads allocation ",
                 "(256 bytes), which add_one (" + place_of("the writer") + ") writes on another stream, without waiting"});
  cudaStreamSynchronize(first_);
  EXPECT_NO_THROW(run([&] {
    cudaEventRecord(event_, first_);
    cudaStreamWaitEvent(second_, event_, 0);
  }));
  EXPECT_NO_THROW(run([&] { cudaStreamSynchronize(first_); }));
  EXPECT_NO_THROW(run([&] {
    cudaEventRecord(event_, first_);
    cudaEventSynchronize(event_);
  }));
  // An event that was recorded before the work says nothing about it.
  expect_report(
      [&] {
        cudaEventRecord(event_, first_);
        run([&] { cudaStreamWaitEvent(second_, event_, 0); });
      },
      {"without waiting for it"});
  cudaStreamSynchronize(first_);
  EXPECT_EQ(z.values(), std::vector<int>(64, 3));
}

TEST_F(Streams, MemoryThatIsOverwrittenWhileAnotherStreamReadsIt) {
  DeviceArray<int> x(std::vector<int>(64, 1)), y(64);
  cudaStreamSynchronize(nullptr);
  launch(add_one, 1, 64, 0, first_, x.data(), y.data());
  expect_report([&] { cudaMemsetAsync(x.data(), 0, 4, second_); },
                {"streams: cudaMemsetAsync writes allocation ", " reads on another stream, without waiting for it"});
  cudaStreamSynchronize(first_);
  EXPECT_NO_THROW(cudaMemsetAsync(x.data(), 0, 4, second_));
  expect_report([&] { cudaFreeAsync(x.data(), first_); }, {"streams: cudaFreeAsync writes allocation "});
  cudaStreamSynchronize(second_);
}

TEST_F(Streams, ADownloadToPinnedMemoryArrivesWhenTheHostWaits) {
  DeviceArray<int> x(std::vector<int>(64, 7));
  cudaStreamSynchronize(nullptr);
  cudaMemcpyAsync(pinned_, x.data(), 256, cudaMemcpyDeviceToHost, first_);
  EXPECT_EQ(pinned_[0], -1);
  cudaStreamSynchronize(second_);  // the wrong one
  EXPECT_EQ(pinned_[0], -1);
  cudaStreamSynchronize(first_);
  EXPECT_EQ(std::vector<int>(pinned_, pinned_ + 64), std::vector<int>(64, 7));
}

TEST_F(Streams, PinnedMemoryThatIsUsedAgainBeforeItsUploadIsOver) {
  DeviceArray<int> x(64);
  cudaStreamSynchronize(nullptr);
  cudaMemcpyAsync(x.data(), pinned_, 256, cudaMemcpyHostToDevice, first_);
  cudaEventRecord(event_, first_);
  cudaEventSynchronize(event_);
  pinned_[5] = 1;
  EXPECT_NO_THROW(cudaStreamSynchronize(first_));
  cudaMemcpyAsync(x.data(), pinned_, 256, cudaMemcpyHostToDevice, first_);
  pinned_[5] = 2;
  expect_report([&] { cudaStreamSynchronize(first_); },
                {"streams: the host wrote to the pinned memory that cudaMemcpyAsync uploads (256 bytes at "});
}

}  // namespace
}  // namespace alma::test
