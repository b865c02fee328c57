#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/sim/control.h"
#include "kernels/sim/simt.h"

namespace alma::sim {

class Executor;

/// Is told by the executor what the threads of a launch do, where checks are on: see Watch.
class Onlooker {
 public:
  virtual void begin_block(const Executor& executor, std::uint64_t number) = 0;
  virtual void end_block() = 0;
  virtual void barrier() = 0;
  virtual void warp_operation(const Warp& warp, std::uint32_t lanes, bool orders_memory) = 0;
  virtual void access(const void* p, std::size_t bytes, bool is_store, Site site) = 0;

 protected:
  ~Onlooker() = default;
};

/// One launch: what every block of it needs to know.
struct Launch {
  dim3 grid, block;
  std::size_t dynamic_bytes = 0;
  Start start;
  Site site;
  Schedule schedule;
  Onlooker* watch = nullptr;  // or null
};

}  // namespace alma::sim
