#pragma once
#include <driver_types.h>

#include <functional>
#include <utility>

/// Captures of streams: while a stream captures, work on it is recorded, with copies of its arguments, and not done. What a
/// capture refuses invalidates it, as in the real runtime.
namespace alma::sim {

/// Does a piece of recorded work on the stream that the graph is launched on.
using GraphNode = std::function<void(cudaStream_t)>;

bool captures(cudaStream_t stream);
/// Throws Error if the capture was invalidated before.
void record(cudaStream_t stream, GraphNode node);

template <class Work>
void do_or_record(cudaStream_t stream, Work work) {
  if (captures(stream)) {
    record(stream, std::move(work));
  } else {
    work(stream);
  }
}

/// For calls that no capture of the stream may contain: the error, or cudaSuccess if the stream does not capture.
cudaError_t refuse_in_capture(cudaStream_t stream);
/// For calls that a thread must not make while it captures in the mode cudaStreamCaptureModeThreadLocal.
cudaError_t refuse_in_captures_of_this_thread();

}  // namespace alma::sim
