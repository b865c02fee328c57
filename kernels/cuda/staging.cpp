#include "kernels/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/checked.h"

namespace alma {

Staging::Staging(cudaStream_t stream) : stream_(stream) {
  ALMA_CHECKED(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking));
  ALMA_CHECKED(cudaHostAlloc(reinterpret_cast<void**>(&memory_), kSegments * kSegmentBytes, cudaHostAllocDefault));
  for (cudaEvent_t& event : taken_) ALMA_CHECKED(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  ALMA_CHECKED(cudaEventCreateWithFlags(&landed_, cudaEventDisableTiming));
}

Staging::~Staging() {
  cudaStreamSynchronize(copies_);
  cudaStreamSynchronize(stream_);
  for (void* landing : landing_)
    if (landing != nullptr) cudaFreeAsync(landing, copies_);
  for (cudaEvent_t event : taken_) cudaEventDestroy(event);
  cudaEventDestroy(landed_);
  cudaFreeHost(memory_);
  cudaStreamDestroy(copies_);
}

void Staging::upload(const void* host, void* device, std::size_t bytes) {
  const auto* from = static_cast<const unsigned char*>(host);
  auto* to = static_cast<unsigned char*>(device);
  while (bytes > 0) {
    const bool direct = bytes <= kDirectBytes;
    const std::size_t room = direct ? bytes : kSegmentBytes;  // a landing place is for one upload
    if (room > kSegmentBytes - used_) next_segment();
    const std::size_t part = std::min(bytes, room);
    unsigned char* staged = memory_ + segment_ * kSegmentBytes + used_;
    std::memcpy(staged, from, part);
    if (direct) {
      ALMA_CHECKED(cudaMemcpyAsync(to, staged, part, cudaMemcpyHostToDevice, stream_));
    } else {
      upload_by_landing(staged, to, part);
    }
    used_ += (room + 255) / 256 * 256;  // copies like aligned memory
    from += part;
    to += part;
    bytes -= part;
  }
}

void Staging::upload_by_landing(const unsigned char* staged, unsigned char* device, std::size_t bytes) {
  void*& landing = landing_[segment_];
  if (landing == nullptr) ALMA_CHECKED(cudaMallocAsync(&landing, kSegmentBytes, copies_));
  ALMA_CHECKED(cudaMemcpyAsync(landing, staged, bytes, cudaMemcpyHostToDevice, copies_));
  ALMA_CHECKED(cudaEventRecord(landed_, copies_));
  ALMA_CHECKED(cudaStreamWaitEvent(stream_, landed_, 0));
  ALMA_CHECKED(cudaMemcpyAsync(device, landing, bytes, cudaMemcpyDeviceToDevice, stream_));
}

void Staging::next_segment() {
  ALMA_CHECKED(cudaEventRecord(taken_[segment_], stream_));
  segment_ = (segment_ + 1) % kSegments;
  used_ = 0;
  ALMA_CHECKED(cudaEventSynchronize(taken_[segment_]));  // never recorded: nothing to wait for
}

}  // namespace alma
