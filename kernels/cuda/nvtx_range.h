#pragma once

namespace alma {

/// A range of the calling thread in the timeline of a tool such as Nsight Systems (NVTX 3) for as long as it exists. Without
/// a tool it is a test of a pointer.
class NvtxRange {
 public:
  explicit NvtxRange(const char* name);
  ~NvtxRange();
  NvtxRange(const NvtxRange&) = delete;
  NvtxRange& operator=(const NvtxRange&) = delete;
};

}  // namespace alma
