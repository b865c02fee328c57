// The staging of uploads, compiled here once more so that its calls are seen and its waits can be left out.
#include "tests/sim/sim_test.h"

#include <algorithm>
#include <numeric>

namespace alma::test {
namespace {

struct Copy {
  cudaMemcpyKind kind;
  cudaStream_t stream;
};
std::vector<Copy> copies;
std::vector<cudaStream_t> waiting;  // streams that were told to wait
bool without_stream_waits = false, without_host_waits = false;

cudaError_t seen_copy(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  copies.push_back({kind, stream});
  return cudaMemcpyAsync(target, source, bytes, kind, stream);
}
cudaError_t seen_stream_wait(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  waiting.push_back(stream);
  return without_stream_waits ? cudaSuccess : cudaStreamWaitEvent(stream, event, flags);
}
cudaError_t seen_host_wait(cudaEvent_t event) { return without_host_waits ? cudaSuccess : cudaEventSynchronize(event); }

}  // namespace
}  // namespace alma::test

#define Staging StagingUnderTest
#define cudaMemcpyAsync alma::test::seen_copy
#define cudaStreamWaitEvent alma::test::seen_stream_wait
#define cudaEventSynchronize alma::test::seen_host_wait
#include "kernels/cuda/staging.cpp"
#undef Staging
#undef cudaMemcpyAsync
#undef cudaStreamWaitEvent
#undef cudaEventSynchronize

namespace alma::test {
namespace {

constexpr std::size_t kLarge = std::size_t{300} << 10;

class StagedUploads : public testing::Test {
 protected:
  void SetUp() override {
    alma_sim_set_checks(alma_sim_streams | alma_sim_memcheck);
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
    staging_ = std::make_unique<StagingUnderTest>(stream_);
    copies.clear();
    waiting.clear();
  }
  void TearDown() override {
    without_stream_waits = without_host_waits = false;
    cudaStreamSynchronize(stream_);
    staging_.reset();
    cudaStreamDestroy(stream_);
    alma_sim_set_checks(0);
  }
  // Bytes that differ from upload to upload.
  void upload(DeviceArray<std::uint8_t>& to, std::size_t bytes, int first = 0) {
    std::vector<std::uint8_t> host(bytes);
    for (std::size_t i = 0; i < bytes; ++i) host[i] = static_cast<std::uint8_t>(i * 7 + i / 1000 + first);
    staging_->upload(host.data(), to.data(), bytes);
    std::fill(host.begin(), host.end(), std::uint8_t{0});  // may be reused at once
  }
  std::vector<std::uint8_t> download(DeviceArray<std::uint8_t>& from, std::size_t bytes) {
    std::vector<std::uint8_t> host(bytes);
    cudaMemcpyAsync(host.data(), from.data(), bytes, cudaMemcpyDeviceToHost, stream_);
    cudaStreamSynchronize(stream_);
    return host;
  }

  cudaStream_t stream_ = nullptr;
  std::unique_ptr<StagingUnderTest> staging_;
};

TEST_F(StagedUploads, OfEverySizeArrive) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{257}, std::size_t{65'536}, std::size_t{65'537}, kLarge,
                                  std::size_t{1} << 20, (std::size_t{1} << 20) + 1, std::size_t{21} << 20}) {
    DeviceArray<std::uint8_t> device(bytes);
    cudaStreamSynchronize(nullptr);
    upload(device, bytes, 3);
    const std::vector<std::uint8_t> back = download(device, bytes);
    for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(back[i], static_cast<std::uint8_t>(i * 7 + i / 1000 + 3)) << i;
  }
  DeviceArray<std::uint8_t> device(kLarge);
  for (int i = 0; i < 200; ++i) upload(device, i % 3 == 0 ? kLarge : 1000 * (static_cast<std::size_t>(i) % 50 + 1), i);
  EXPECT_EQ(download(device, 1)[0], 199);
}

// What is queued on the stream of the work does not hold the copy up, and the work waits for it.
TEST_F(StagedUploads, LargeOnesCrossTheBusOnAStreamThatWaitsForNothing) {
  DeviceArray<std::uint8_t> device(kLarge);
  cudaStreamSynchronize(nullptr);
  upload(device, kLarge);
  ASSERT_EQ(copies.size(), 2u);
  EXPECT_EQ(copies[0].kind, cudaMemcpyHostToDevice);
  EXPECT_NE(copies[0].stream, stream_);
  EXPECT_EQ(copies[1].kind, cudaMemcpyDeviceToDevice);
  EXPECT_EQ(copies[1].stream, stream_);
  EXPECT_EQ(waiting, std::vector<cudaStream_t>{stream_});
  copies.clear();
  waiting.clear();
  upload(device, 100);
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_EQ(copies[0].stream, stream_);
  EXPECT_TRUE(waiting.empty());
}

TEST_F(StagedUploads, WithoutTheWaitForTheLandingAreReported) {
  DeviceArray<std::uint8_t> device(kLarge);
  cudaStreamSynchronize(nullptr);
  without_stream_waits = true;
  expect_report([&] { upload(device, kLarge); }, {"streams: cudaMemcpyAsync reads allocation ",
                                                  "which cudaMemcpyAsync writes on another stream, without waiting"});
}

// A landing place is written again while the work's stream may still copy out of it; so is the pinned memory before it.
TEST_F(StagedUploads, WithoutTheWaitForALandingPlaceInUseAreReported) {
  DeviceArray<std::uint8_t> device(kLarge);
  cudaStreamSynchronize(nullptr);
  without_host_waits = true;
  const auto upload_often = [&] {
    for (int i = 0; i < 20; ++i) upload(device, kLarge, i);
  };
  expect_report(upload_often,
                {"streams: cudaMemcpyAsync writes allocation ", "which cudaMemcpyAsync reads on another stream"});
  expect_report([&] { cudaStreamSynchronize(stream_); }, {"streams: the host wrote to the pinned memory"});
}

// The host writes to pinned memory again while the stream may still fetch it.
TEST_F(StagedUploads, WithoutTheWaitForPinnedMemoryInUseAreReported) {
  DeviceArray<std::uint8_t> device(60'000);
  cudaStreamSynchronize(nullptr);
  without_host_waits = true;
  for (int i = 0; i < 200; ++i) upload(device, 60'000, i);
  expect_report([&] { cudaStreamSynchronize(stream_); },
                {"streams: the host wrote to the pinned memory that cudaMemcpyAsync uploads (60000 bytes"});
}

}  // namespace
}  // namespace alma::test
