#include "kernels/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/checked.h"

namespace alma {

Staging::Staging(cudaStream_t stream) : stream_(stream) {
  ALMA_CHECKED(cudaHostAlloc(reinterpret_cast<void**>(&memory_), kSegments * kSegmentBytes, cudaHostAllocDefault));
  for (cudaEvent_t& event : copied_) ALMA_CHECKED(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
}

Staging::~Staging() {
  for (cudaEvent_t event : copied_) cudaEventDestroy(event);
  cudaFreeHost(memory_);
}

void Staging::upload(const void* host, void* device, std::size_t bytes) {
  const auto* from = static_cast<const unsigned char*>(host);
  auto* to = static_cast<unsigned char*>(device);
  while (bytes > 0) {
    if (used_ == kSegmentBytes) next_segment();
    const std::size_t part = std::min(bytes, kSegmentBytes - used_);
    unsigned char* staged = memory_ + segment_ * kSegmentBytes + used_;
    std::memcpy(staged, from, part);
    ALMA_CHECKED(cudaMemcpyAsync(to, staged, part, cudaMemcpyHostToDevice, stream_));
    used_ += part;
    from += part;
    to += part;
    bytes -= part;
  }
}

void Staging::next_segment() {
  ALMA_CHECKED(cudaEventRecord(copied_[segment_], stream_));
  segment_ = (segment_ + 1) % kSegments;
  used_ = 0;
  ALMA_CHECKED(cudaEventSynchronize(copied_[segment_]));  // never recorded: nothing to wait for
}

}  // namespace alma
