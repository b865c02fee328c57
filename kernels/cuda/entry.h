#pragma once

namespace alma {

/// A call of the CUDA backend. Makes its GPU the calling thread's current one, which stays so. For as long as the entry
/// exists it is a range of that name in the thread's timeline in a tool such as Nsight Systems (NVTX 3). On the same GPU and
/// without a tool it costs two tests.
class Entry {
 public:
  Entry(int gpu, const char* name);
  ~Entry();
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
};

/// The range alone.
void begin_nvtx_range(const char* name);
void end_nvtx_range() noexcept;

}  // namespace alma
