// Captures: recorded with copies of the arguments, done when the graph is launched, and what they refuse.
#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

class SimGraph : public CheckedTest {
 protected:
  unsigned checks() const override { return alma_sim_memcheck | alma_sim_racecheck | alma_sim_streams; }
  void SetUp() override {
    CheckedTest::SetUp();
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
  }
  void TearDown() override {
    alma_sim_note_launches(0);
    cudaStreamDestroy(stream_);
    CheckedTest::TearDown();
  }

  void begin() { ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess); }
  /// Ends a capture that a refused call has made invalid.
  void end_invalid() {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
  }
  /// Ends the capture; the graph itself is let go, as a program may.
  cudaGraphExec_t end() {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
    EXPECT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return executable;
  }

  cudaStream_t stream_ = nullptr;
};

__global__ void add(const int* x, int summand, int* y) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  store<int>(y + i, load<int>(x + i) + summand);
}

TEST_P(SimGraph, DoesNothingUntilItIsLaunched) {
  DeviceArray<int> x(std::vector<int>(64, 1)), y(std::vector<int>(64, 0)), z(std::vector<int>(64, 0));
  cudaStreamSynchronize(nullptr);
  alma_sim_note_launches(1);
  begin();
  int summand = 10;
  launch(add, 2, 32, 0, stream_, x.data(), summand, y.data());
  summand = 20;  // the launch has its own copy
  EXPECT_EQ(cudaMemcpyAsync(z.data(), y.data(), 128, cudaMemcpyDeviceToDevice, stream_), cudaSuccess);
  EXPECT_EQ(cudaMemcpy2DAsync(z.data() + 32, 8, y.data(), 8, 4, 4, cudaMemcpyDeviceToDevice, stream_), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(z.data(), 0, 4, stream_), cudaSuccess);
  launch(add, 1, 64, 0, stream_, y.data(), summand, x.data());
  const cudaGraphExec_t graph = end();
  EXPECT_EQ(alma_sim_noted_launches(), 0u);
  EXPECT_EQ(z.values(), std::vector<int>(64, 0));

  for (int value : {11, 41}) {  // x grows by 30 in a launch of the graph
    cudaStreamSynchronize(nullptr);
    ASSERT_EQ(cudaGraphLaunch(graph, stream_), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    std::vector<int> expected(64, 0);
    for (std::size_t i = 1; i < 32; ++i) expected[i] = value;
    for (std::size_t i = 32; i < 40; i += 2) expected[i] = value;
    EXPECT_EQ(z.values(), expected);
    EXPECT_EQ(x.values(), std::vector<int>(64, value + 20));
  }
  ASSERT_EQ(alma_sim_noted_launches(), 4u);
  const std::string first = alma_sim_noted_launch(2), second = alma_sim_noted_launch(3);
  EXPECT_EQ(first, alma_sim_noted_launch(0));
  EXPECT_EQ(first.substr(0, 4), "add ");
  EXPECT_NE(first, second) << "the grids differ";
  EXPECT_EQ(cudaGraphExecDestroy(graph), cudaSuccess);
}

TEST_P(SimGraph, RefusesWhatNoCaptureMayContain) {
  DeviceArray<int> x(std::vector<int>(4, 1));
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  int host[4] = {};
  void* memory = nullptr;
  const struct {
    const char* name;
    std::function<cudaError_t()> call;
  } refused[] = {
      {"synchronize", [&] { return cudaStreamSynchronize(stream_); }},
      {"download", [&] { return cudaMemcpyAsync(host, x.data(), 16, cudaMemcpyDeviceToHost, stream_); }},
      {"upload", [&] { return cudaMemcpyAsync(x.data(), host, 16, cudaMemcpyHostToDevice, stream_); }},
      {"cudaMalloc", [&] { return cudaMalloc(&memory, 16); }},
      {"cudaMallocAsync", [&] { return cudaMallocAsync(&memory, 16, stream_); }},
      {"cudaFree", [&] { return cudaFree(x.data()); }},
      {"cudaFreeAsync", [&] { return cudaFreeAsync(x.data(), stream_); }},
      {"cudaHostAlloc", [&] { return cudaHostAlloc(&memory, 16, cudaHostAllocDefault); }},
      {"cudaFreeHost", [&] { return cudaFreeHost(host); }},
      {"cudaEventRecord", [&] { return cudaEventRecord(event, stream_); }},
      {"cudaEventSynchronize", [&] { return cudaEventSynchronize(event); }},
      {"cudaStreamWaitEvent", [&] { return cudaStreamWaitEvent(stream_, event, 0); }},
      {"cudaStreamDestroy", [&] { return cudaStreamDestroy(stream_); }},
  };
  for (const auto& each : refused) {
    begin();
    EXPECT_EQ(each.call(), cudaErrorStreamCaptureUnsupported) << each.name;
    expect_has(error_of([&] { launch(add, 1, 4, 0, stream_, x.data(), 1, x.data()); }), "invalidated");
    end_invalid();
  }
  EXPECT_EQ(x.values(), std::vector<int>(4, 1));
  cudaEventDestroy(event);
}

TEST_P(SimGraph, HasABeginningAndAnEnd) {
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorIllegalState);
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeThreadLocal), cudaErrorStreamCaptureUnsupported);
  begin();
  EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaErrorIllegalState);
  const cudaGraphExec_t empty = end();
  EXPECT_EQ(cudaGraphLaunch(empty, stream_), cudaSuccess);
  cudaGraphExecDestroy(empty);
  expect_has(error_of([&] { cudaGraphLaunch(empty, stream_); }), "no such handle");
}

TEST_P(SimGraph, IsCheckedWhenItIsLaunched) {
  DeviceArray<int> x(std::vector<int>(32, 1));
  auto y = std::make_unique<DeviceArray<int>>(32);
  cudaStreamSynchronize(nullptr);
  begin();
  launch(add, 1, 32, 0, stream_, x.data(), 1, y->data());
  const cudaGraphExec_t graph = end();
  EXPECT_EQ(cudaGraphLaunch(graph, stream_), cudaSuccess);
  y.reset();
  expect_has(error_of([&] { cudaGraphLaunch(graph, stream_); }), "freed");
  cudaGraphExecDestroy(graph);
}

INSTANTIATE_TEST_SUITE_P(Orders, SimGraph, testing::ValuesIn(all_orders), order_name);

}  // namespace
}  // namespace alma::test
