#pragma once
#include <mutex>
#include <optional>
#include <vector>

#include "kernels/sim/counters.h"
#include "kernels/sim/executor.h"
#include "kernels/sim/memory.h"
#include "kernels/sim/stream_order.h"

namespace alma::sim {

/// Looks at what a launch does, as far as checks are switched on: memcheck, racecheck, order of streams, counters. Keeps the
/// lock of device memory while it lives, so that one launch is watched at a time and no block comes or goes.
class Watch final : public Onlooker {
 public:
  Watch(const Launch& launch, unsigned checks, StreamWork& work);

  void begin_block(const Executor& executor, std::uint64_t number) override;
  void end_block() override;
  void barrier() override;
  void warp_operation(const Warp& warp, std::uint32_t lanes, bool orders_memory) override;
  void access(const void* p, std::size_t bytes, bool is_store, Site site) override;
  /// After the last block.
  void finish();

 private:
  void global_access(std::uintptr_t address, std::size_t bytes, bool is_store, Site site);
  void shared_access(std::size_t offset, std::size_t bytes, bool is_store, Site site);
  Allocation* block_of(std::uintptr_t address);
  void use(Allocation& block, bool is_store);
  /// `first_run`: executions of blocks before it are over.
  template <class Where>
  void check_race(RaceCells& cells, std::uint32_t first_run, std::size_t offset, std::size_t bytes, bool is_store,
                  const Where& where, Site site);
  [[noreturn]] void report(const std::string& what, Site site) const;
  [[noreturn]] void report_global(std::uintptr_t address, std::size_t bytes, bool is_store, Site site) const;
  std::string thread_at(const RaceAccess& access) const;

  std::unique_lock<std::mutex> lock_;
  const Launch& launch_;
  const bool memcheck_, racecheck_, streams_;
  StreamWork& work_;
  const Executor* executor_ = nullptr;
  std::uint32_t first_run_ = 0;
  std::vector<std::uint64_t> numbers_;  // of the blocks that have run
  BlockOrdering order_;
  const Thread* busy_ = nullptr;  // the thread that accessed memory last, and how often since another one did
  std::uint64_t accesses_of_busy_ = 0;
  Allocation* recent_[4] = {};  // blocks of device memory that were accessed
  std::size_t next_recent_ = 0;
  std::vector<Allocation*> read_, written_, counted_;  // by this launch
  std::optional<RequestCounter> counter_;
  KernelCounters* counters_ = nullptr;
};

}  // namespace alma::sim
