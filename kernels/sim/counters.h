#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/sim/control.h"
#include "kernels/sim/sites.h"

namespace alma::sim {

/// The counters of one kernel: its numbers, and those of its accesses by site.
struct KernelCounters {
  const void* kernel = nullptr;
  std::string name;
  AlmaSimKernel total{};
  std::vector<AlmaSimAccess> accesses;  // at 2 * site + is_shared; requests == 0: not executed
};

/// Gathers the accesses of the lanes of each warp into requests and counts these.
class RequestCounter {
 public:
  RequestCounter(KernelCounters& counters, const Sites& sites) : counters_(counters), sites_(sites) {}
  void begin_block(std::size_t warps) { warps_.resize(warps); }
  void access(std::size_t thread, std::uintptr_t address, std::size_t bytes, bool is_store, bool is_shared,
              std::uint16_t site);
  /// The lanes of a warp have come together: what each executes next belongs together.
  void flush(std::size_t warp);
  void flush_all();

 private:
  struct Request {
    std::uintptr_t address[32];
    std::uint32_t lanes = 0;
    std::uint32_t bytes = 0;
  };
  struct Pending {  // of one access in the source
    std::uint32_t executed[32] = {};
    std::vector<Request> requests;
    bool is_store = false;
  };
  struct Warp {
    std::vector<Pending> pending;     // at 2 * site + is_shared
    std::vector<std::size_t> filled;  // of these, which
  };
  void count(const Request& request, std::size_t slot, bool is_store);

  KernelCounters& counters_;
  const Sites& sites_;
  std::vector<Warp> warps_;
};

/// The counters of this kernel, for a launch of it. Call under the lock of device memory.
KernelCounters& counters_of(const void* kernel);

}  // namespace alma::sim
