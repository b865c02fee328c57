// CUDA graphs: captured from a stream, launched as often as one likes.
#include "kernels/sim/graph.h"

#include <cuda_runtime_api.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels/sim/handles.h"
#include "kernels/sim/stream.h"

namespace alma::sim {
namespace {

using Nodes = std::shared_ptr<std::vector<GraphNode>>;

struct Capture {
  std::thread::id thread;
  Nodes nodes;
  bool valid = true;
};

struct State {
  std::mutex mutex;
  std::map<cudaStream_t, Capture> captures;
  std::atomic<std::size_t> count{0};  // of captures; most of the time there is none, and launches need not lock
};

State& state() {
  static auto& instance = *new State;
  return instance;
}

auto& graphs() { return all_handles<cudaGraph_t, Nodes>(); }
auto& executables() { return all_handles<cudaGraphExec_t, Nodes>(); }

}  // namespace

bool captures(cudaStream_t stream) {
  State& all = state();
  if (all.count == 0) return false;
  const std::lock_guard lock(all.mutex);
  return all.captures.contains(stream);
}

void record(cudaStream_t stream, GraphNode node) {
  const std::lock_guard lock(state().mutex);
  const Capture& capture = state().captures.at(stream);
  if (!capture.valid) fail("[sim] the capture of this stream was invalidated by a call that no capture may contain");
  capture.nodes->push_back(std::move(node));
}

cudaError_t refuse_in_capture(cudaStream_t stream) {
  if (!captures(stream)) return cudaSuccess;
  const std::lock_guard lock(state().mutex);
  state().captures.at(stream).valid = false;
  return cudaErrorStreamCaptureUnsupported;
}

cudaError_t refuse_in_captures_of_this_thread() {
  State& all = state();
  if (all.count == 0) return cudaSuccess;
  cudaError_t status = cudaSuccess;
  const std::lock_guard lock(all.mutex);
  for (auto& [stream, capture] : all.captures) {
    if (capture.thread != std::this_thread::get_id()) continue;
    capture.valid = false;
    status = cudaErrorStreamCaptureUnsupported;
  }
  return status;
}

}  // namespace alma::sim

using namespace alma::sim;

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (mode != cudaStreamCaptureModeThreadLocal)
    alma::fail("[cudaStreamBeginCapture] only cudaStreamCaptureModeThreadLocal is simulated, got ", static_cast<int>(mode));
  if (stream == nullptr) return cudaErrorStreamCaptureUnsupported;  // the default stream waits for all others
  pool_of(stream);                                                  // there is such a stream
  const std::lock_guard lock(state().mutex);
  Capture capture{std::this_thread::get_id(), std::make_shared<std::vector<GraphNode>>()};
  if (!state().captures.emplace(stream, std::move(capture)).second) return cudaErrorIllegalState;
  ++state().count;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  const std::lock_guard lock(state().mutex);
  const auto found = state().captures.find(stream);
  if (found == state().captures.end()) return cudaErrorIllegalState;
  if (found->second.thread != std::this_thread::get_id()) return cudaErrorStreamCaptureWrongThread;
  const Capture capture = found->second;
  state().captures.erase(found);
  --state().count;
  if (!capture.valid) return cudaErrorStreamCaptureInvalidated;
  *graph = graphs().make(capture.nodes);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags) {
  if (flags != 0) alma::fail("[cudaGraphInstantiate] flags are not simulated, got ", flags);
  *executable = executables().make(graphs().get(graph, "cudaGraphInstantiate"));
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const Nodes nodes = executables().get(executable, "cudaGraphLaunch");
  if (captures(stream)) alma::fail("[cudaGraphLaunch] a graph within a graph is not simulated");
  for (const GraphNode& node : *nodes) node(stream);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  graphs().destroy(graph, "cudaGraphDestroy");
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  executables().destroy(executable, "cudaGraphExecDestroy");
  return cudaSuccess;
}
}
