#pragma once
#include <exception>
#include <memory>
#include <vector>

#include "kernels/sim/fiber.h"
#include "kernels/sim/launch.h"

namespace alma::sim {

/// A variable in the shared memory of a block.
struct SharedVariable {
  const void* key = nullptr;
  const char* name = nullptr;
  std::size_t offset = 0, bytes = 0;  // offset in the arena
};

inline constexpr std::size_t kSharedBytes = 48 * 1024;        // per block, without the opt-in that no kernel asks for
inline constexpr std::size_t kArenaBytes = 4 * kSharedBytes;  // with room for red zones

/// Runs blocks, one after the other, on one OS thread. Threads of a block are started in the order of the schedule; one that
/// waits gives way to another, and the fiber of one that has ended starts the next, so that few stacks are in use.
class Executor {
 public:
  /// The executor of the calling OS thread; it lives as long as the thread.
  static Executor& mine();

  void begin(const Launch& launch);
  /// Runs one block to its end. Throws what a kernel or the executor threw.
  void run_block(std::uint64_t number);

  // Called by the running thread.
  BarrierVote barrier(bool predicate, Site site);
  void wait_in_warp(Site site);
  void release_lanes(Warp& warp, std::uint32_t lanes);
  void* shared_variable(const void* key, std::size_t bytes, std::size_t alignment, const char* name);
  [[noreturn]] void fail_here(const std::string& what, Site site) const;

  // For the watch.
  std::size_t number_of(const Thread& thread) const { return static_cast<std::size_t>(&thread - threads_.data()); }
  const Thread& thread(std::size_t number) const { return threads_[number]; }
  /// Where in the arena of shared memory an address lies; kArenaBytes or more: elsewhere.
  std::size_t arena_offset(const void* p) const {
    return reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(arena_.get());
  }
  /// The variable that begins at the offset or, failing that, next before it.
  SharedVariable shared_variable_at(std::size_t offset) const;

 private:
  Executor();
  static void fiber_main();
  void run_threads(Fiber& self);
  void start_order();
  void reset_shared_memory();
  Thread* next_thread();
  Thread* take_ready();
  Fiber& fiber_for(Thread& thread);
  void give_way(ThreadState state, Site site);
  void end_thread(Thread& thread);
  void release_barrier_if_complete();
  std::string describe_deadlock() const;
  std::uint64_t random();

  Launch launch_;
  Block block_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<std::uint32_t> order_;  // in which threads are started
  std::size_t started_ = 0;           // of order_
  std::size_t exited_ = 0;
  std::vector<Thread*> ready_;  // waited, and can go on; the first is at ready_head_
  std::size_t ready_head_ = 0;
  std::vector<Thread*> at_barrier_;
  int votes_ = 0;            // true predicates at the barrier that is filling up
  BarrierVote last_vote_{};  // of the barrier that was released last

  Fiber caller_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_fibers_;
  std::exception_ptr error_;

  struct Unmap {
    void operator()(unsigned char* memory) const;
  };
  std::unique_ptr<unsigned char, Unmap> arena_;  // shared memory, with room for red zones
  std::size_t arena_used_ = 0;
  std::size_t shared_bytes_ = 0;
  std::vector<SharedVariable> variables_;
  std::uint64_t random_state_ = 1;
};

}  // namespace alma::sim
