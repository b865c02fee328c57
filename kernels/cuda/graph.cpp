// Work that is captured from the backend's stream and launched as a whole.
#include "kernels/cuda/checked.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"

namespace alma {
namespace {

class CudaGraph final : public Graph {
 public:
  CudaGraph(cudaGraph_t graph, int gpu, cudaStream_t stream, std::shared_ptr<void> scratch)
      : gpu_(gpu), stream_(stream), scratch_(std::move(scratch)) {
    ALMA_CHECKED(cudaGraphInstantiate(&executable_, graph, 0));
  }
  ~CudaGraph() override { cudaGraphExecDestroy(executable_); }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  void replay() override {
    const Entry entry(gpu_, "graph");
    ALMA_CHECKED(cudaGraphLaunch(executable_, stream_));
  }

 private:
  int gpu_;
  cudaStream_t stream_;
  std::shared_ptr<void> scratch_;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace

std::unique_ptr<Graph> CudaBackend::capture(const std::function<void()>& work) {
  if (is_observed()) fail("[capture] an observer waits after every primitive: no graphs while it looks on");
  refuse_in_capture("capture");
  ALMA_CHECKED(make_current(gpu_));
  ALMA_CHECKED(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  capturing_ = true;
  cudaGraph_t recorded = nullptr;
  try {
    work();
  } catch (...) {
    capturing_ = false;
    cudaStreamEndCapture(stream_, &recorded);
    if (recorded != nullptr) cudaGraphDestroy(recorded);
    throw;
  }
  capturing_ = false;
  ALMA_CHECKED(cudaStreamEndCapture(stream_, &recorded));
  const auto destroy = [](cudaGraph_t graph) { cudaGraphDestroy(graph); };
  const std::unique_ptr<CUgraph_st, decltype(destroy)> graph(recorded, destroy);
  return std::make_unique<CudaGraph>(recorded, gpu_, stream_, scratch_);
}

}  // namespace alma
