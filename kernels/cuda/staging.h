#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>

namespace alma {

/// Pinned host memory through which uploads go: the GPU reads it by itself, so the caller may go on (and reuse its own
/// memory) at once. A ring of segments; a segment is used again when the copies out of it are done, so that a program
/// that uploads a little in every step never waits.
class Staging {
 public:
  explicit Staging(cudaStream_t stream);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  void upload(const void* host, void* device, std::size_t bytes);

 private:
  static constexpr std::size_t kSegments = 4;
  static constexpr std::size_t kSegmentBytes = std::size_t{1} << 20;

  void next_segment();

  cudaStream_t stream_;
  unsigned char* memory_ = nullptr;
  cudaEvent_t copied_[kSegments] = {};  // recorded when the segment is full
  std::size_t segment_ = 0;
  std::size_t used_ = 0;  // bytes of the segment
};

}  // namespace alma
