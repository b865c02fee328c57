#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>

namespace alma {

/// Pinned host memory through which uploads go: the GPU reads it by itself, so the caller may go on (and reuse its own
/// memory) at once. Large uploads cross the bus on a stream of their own, into a landing place on the GPU, while the work
/// that was queued before still runs; the stream of the work takes them from there in its order. A ring of segments; a
/// segment is used again when the work's stream is through with it, so that a program that uploads a little in every step
/// never waits.
class Staging {
 public:
  /// For work on `stream`, which outlives this.
  explicit Staging(cudaStream_t stream);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  void upload(const void* host, void* device, std::size_t bytes);

 private:
  static constexpr std::size_t kSegments = 8;
  static constexpr std::size_t kSegmentBytes = std::size_t{1} << 20;
  /// Up to here the work's stream fetches the bytes itself: a second copy would take as long as the way over the bus.
  static constexpr std::size_t kDirectBytes = std::size_t{64} << 10;

  void next_segment();
  void upload_by_landing(const unsigned char* staged, unsigned char* device, std::size_t bytes);

  cudaStream_t stream_;
  cudaStream_t copies_ = nullptr;
  unsigned char* memory_ = nullptr;
  void* landing_[kSegments] = {};      // on the GPU, made when first used
  cudaEvent_t taken_[kSegments] = {};  // of `stream_`, when it has been given all copies out of the segment
  cudaEvent_t landed_ = nullptr;       // of `copies_`: the last upload has reached the GPU
  std::size_t segment_ = 0;
  std::size_t used_ = 0;  // bytes of the segment
};

}  // namespace alma
