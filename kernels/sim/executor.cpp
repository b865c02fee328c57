#include "kernels/sim/executor.h"

#include <sys/mman.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "base/error.h"
#include "kernels/sim/report.h"
#include "kernels/sim/sanitizer.h"
#include "kernels/sim/sites.h"
#include "kernels/sim/symbols.h"

namespace alma::sim {
namespace {

constexpr std::size_t kRedZone = 64;

}  // namespace

constinit thread_local Here here;

Executor& Executor::mine() {
  static thread_local Executor executor;
  return executor;
}

void Executor::Unmap::operator()(unsigned char* memory) const {
  unpoison(memory, kArenaBytes);
  munmap(memory, kArenaBytes);
}

Executor::Executor() {
  void* arena = mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (arena == MAP_FAILED) fail("[sim] no memory for the shared memory of a block");
  arena_.reset(static_cast<unsigned char*>(arena));
}

void Executor::begin(const Launch& launch) {
  launch_ = launch;
  block_.threads = launch.block;
  block_.grid = launch.grid;
  block_.dynamic_shared = arena_.get() + kRedZone;
  const dim3 size = launch.block;
  const std::size_t count = std::size_t{size.x} * size.y * size.z;
  threads_.assign(count, {});
  warps_.assign((count + 31) / 32, {});
  order_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    Thread& thread = threads_[i];
    const auto linear = static_cast<unsigned>(i);
    thread.index = {linear % size.x, linear / size.x % size.y, linear / size.x / size.y};
    thread.lane = linear % 32;
    thread.warp = &warps_[i / 32];
  }
  for (std::size_t w = 0; w < warps_.size(); ++w) {
    const std::size_t lanes = std::min<std::size_t>(32, count - 32 * w);
    warps_[w].lanes = &threads_[32 * w];
    warps_[w].present = lanes == 32 ? 0xffffffffu : (1u << lanes) - 1;
  }
  variables_.clear();
  shared_bytes_ = launch.dynamic_bytes;
  arena_used_ = kRedZone + launch.dynamic_bytes;
}

void Executor::run_block(std::uint64_t number) {
  const dim3 grid = launch_.grid;
  block_.index = {static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
                  static_cast<unsigned>(number / grid.x / grid.y)};
  for (Thread& thread : threads_) thread.state = ThreadState::unstarted;
  for (Warp& warp : warps_) warp.arrived = warp.exited = 0;
  started_ = exited_ = 0;
  votes_ = 0;
  ready_.clear();
  ready_head_ = 0;
  at_barrier_.clear();
  random_state_ = ((launch_.schedule.seed + 1) * 0x9E3779B97F4A7C15u ^ (number + 1) * 0xBF58476D1CE4E5B9u) | 1;
  start_order();
  reset_shared_memory();

  if (launch_.watch != nullptr) launch_.watch->begin_block(*this, number);
  here = {&threads_[order_[started_++]], &block_, this, launch_.watch};
  Fiber::switch_to(caller_, fiber_for(*here.thread));
  here = {};
  if (error_) {  // the other threads stay where they are; their stacks are used again from the top
    idle_fibers_.clear();
    for (auto& fiber : fibers_) {
      fiber->prepare(&fiber_main);
      idle_fibers_.push_back(fiber.get());
    }
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
  if (launch_.watch != nullptr) launch_.watch->end_block();
}

void Executor::start_order() {
  const std::size_t count = order_.size();
  const bool reverse = launch_.schedule.order == alma_sim_reverse;
  for (std::size_t i = 0; i < count; ++i) order_[i] = static_cast<std::uint32_t>(reverse ? count - 1 - i : i);
  if (launch_.schedule.order != alma_sim_random) return;
  for (std::size_t i = count; i > 1; --i) std::swap(order_[i - 1], order_[random() % i]);
}

// NaN bytes, so that a value read before it is written shows in the result.
void Executor::reset_shared_memory() {
  unpoison(arena_.get(), kArenaBytes);
  std::memset(arena_.get(), 0xff, arena_used_);
  poison(arena_.get(), kArenaBytes);
  unpoison(block_.dynamic_shared, launch_.dynamic_bytes);
  for (const SharedVariable& variable : variables_) unpoison(arena_.get() + variable.offset, variable.bytes);
}

void* Executor::shared_variable(const void* key, std::size_t bytes, std::size_t alignment, const char* name) {
  for (const SharedVariable& variable : variables_)
    if (variable.key == key) return arena_.get() + variable.offset;
  shared_bytes_ += bytes;
  if (shared_bytes_ > kSharedBytes) fail_here(std::string("no shared memory left (48 KiB) for ") + name, launch_.site);
  const std::size_t offset = (arena_used_ + kRedZone + alignment - 1) / alignment * alignment;
  if (offset + bytes + kRedZone > kArenaBytes) fail_here("too many shared variables", launch_.site);
  unpoison(arena_.get() + arena_used_, offset + bytes - arena_used_);
  std::memset(arena_.get() + arena_used_, 0xff, offset + bytes - arena_used_);
  poison(arena_.get() + arena_used_, offset - arena_used_);
  variables_.push_back({key, name, offset, bytes});
  arena_used_ = offset + bytes;
  return arena_.get() + offset;
}

SharedVariable Executor::shared_variable_at(std::size_t offset) const {
  SharedVariable best{nullptr, "the dynamic shared memory", kRedZone, launch_.dynamic_bytes};
  for (const SharedVariable& variable : variables_)
    if (variable.offset <= offset && variable.offset > best.offset) best = variable;
  return best;
}

// xorshift64
std::uint64_t Executor::random() {
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return random_state_;
}

Fiber& Executor::fiber_for(Thread& thread) {
  if (idle_fibers_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(fibers_.size()));
    fibers_.back()->prepare(&fiber_main);
    idle_fibers_.push_back(fibers_.back().get());
  }
  thread.fiber = idle_fibers_.back();
  idle_fibers_.pop_back();
  return *thread.fiber;
}

Thread* Executor::take_ready() {
  const std::size_t count = ready_.size() - ready_head_;
  if (count == 0) return nullptr;
  if (launch_.schedule.order == alma_sim_sequential) {
    Thread* first = ready_[ready_head_++];
    if (ready_head_ == ready_.size()) {
      ready_.clear();
      ready_head_ = 0;
    }
    return first;
  }
  if (launch_.schedule.order == alma_sim_random) std::swap(ready_[random() % count], ready_.back());
  Thread* last = ready_.back();
  ready_.pop_back();
  return last;
}

// A thread that can go on comes before one that has not started, because every thread under way holds a stack; a random
// order mixes the two.
Thread* Executor::next_thread() {
  const bool unstarted = started_ < order_.size();
  if (unstarted && launch_.schedule.order == alma_sim_random && random() % (ready_.size() + 32) >= ready_.size())
    return &threads_[order_[started_++]];
  if (Thread* ready = take_ready()) return ready;
  return unstarted ? &threads_[order_[started_++]] : nullptr;
}

void Executor::give_way(ThreadState state, Site site) {
  Thread& self = *here.thread;
  self.state = state;
  self.site = site;
  Thread* next = next_thread();
  if (next == nullptr) fail("[sim] ", describe_deadlock());
  if (next != &self) {
    Fiber& target = next->state == ThreadState::unstarted ? fiber_for(*next) : *next->fiber;
    here.thread = next;
    Fiber::switch_to(*self.fiber, target);
    here.thread = &self;
  }
  self.state = ThreadState::running;
}

void Executor::wait_in_warp(Site site) { give_way(ThreadState::in_warp_operation, site); }

void Executor::release_lanes(Warp& warp, std::uint32_t lanes) {
  for_lanes(lanes, [&](std::uint32_t lane) { ready_.push_back(&warp.lanes[lane]); });
}

BarrierVote Executor::barrier(bool predicate, Site site) {
  Thread& self = *here.thread;
  self.state = ThreadState::at_barrier;
  self.site = site;
  votes_ += predicate ? 1 : 0;
  at_barrier_.push_back(&self);
  release_barrier_if_complete();
  const bool last = at_barrier_.empty();
  if (last && launch_.schedule.order == alma_sim_sequential) {
    ready_.pop_back();  // the one that completed the barrier simply goes on
    self.state = ThreadState::running;
  } else {
    give_way(ThreadState::at_barrier, site);
  }
  return last_vote_;
}

// Threads that have exited count as arrived, as on the GPU.
void Executor::release_barrier_if_complete() {
  if (at_barrier_.empty() || at_barrier_.size() + exited_ < threads_.size()) return;
  const Site& first = at_barrier_.front()->site;
  for (const Thread* thread : at_barrier_) {
    if (!same_place(thread->site, first))
      fail_here("threads of one block meet at different barriers, " + place(first) + " and " + place(thread->site),
                launch_.site);
  }
  last_vote_ = {votes_, static_cast<int>(at_barrier_.size())};
  votes_ = 0;
  ready_.insert(ready_.end(), at_barrier_.begin(), at_barrier_.end());
  at_barrier_.clear();
  if (launch_.watch != nullptr) launch_.watch->barrier();
}

void Executor::end_thread(Thread& thread) {
  thread.state = ThreadState::exited;
  ++exited_;
  Warp& warp = *thread.warp;
  warp.exited |= 1u << thread.lane;
  for_lanes(warp.arrived, [&](std::uint32_t lane) {
    const Thread& waiting = warp.lanes[lane];
    if ((waiting.mask >> thread.lane & 1) != 0)
      fail_here("the thread exits while lane " + std::to_string(lane) + " waits for it in a warp operation", waiting.site);
  });
  release_barrier_if_complete();
}

void Executor::fiber_main() {
  Executor& executor = *here.executor;
  Fiber::entered(executor.caller_);
  try {
    executor.run_threads(*here.thread->fiber);
  } catch (...) {
    executor.error_ = std::current_exception();
  }
  Fiber unused;
  Fiber::switch_to(unused, executor.caller_);
}

// What a fiber does: run threads, one after the other, until none is left in the block.
void Executor::run_threads(Fiber& self) {
  while (true) {
    Thread& thread = *here.thread;
    thread.state = ThreadState::running;
    thread.fiber = &self;
    launch_.start.invoke(launch_.start.arguments.get());
    end_thread(thread);
    if (exited_ == threads_.size()) {
      idle_fibers_.push_back(&self);
      Fiber::switch_to(self, caller_);
      continue;  // with a thread of a later block
    }
    Thread* next = next_thread();
    if (next == nullptr) fail("[sim] ", describe_deadlock());
    here.thread = next;
    if (next->state == ThreadState::unstarted) continue;
    idle_fibers_.push_back(&self);
    Fiber::switch_to(self, *next->fiber);
  }
}

std::string Executor::describe_deadlock() const {
  std::ostringstream text;
  text << "deadlock in block " << triple(block_.index) << " of " << kernel_name(launch_.start.kernel) << " launched at "
       << place(launch_.site) << ":";
  std::vector<bool> told(threads_.size(), false);
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    const Thread& thread = threads_[i];
    if (told[i] || thread.state == ThreadState::exited) continue;
    std::size_t alike = 0;
    for (std::size_t j = i; j < threads_.size(); ++j) {
      if (threads_[j].state != thread.state || !same_place(threads_[j].site, thread.site)) continue;
      told[j] = true;
      ++alike;
    }
    text << " " << alike << " threads (first: " << triple(thread.index) << ") wait "
         << (thread.state == ThreadState::at_barrier ? "at the barrier " : "in the warp operation ") << place(thread.site)
         << ";";
  }
  text << " " << exited_ << " have exited";
  return text.str();
}

void Executor::fail_here(const std::string& what, Site site) const {
  fail("[sim] ", what, " at ", place(site), ", block ", triple(block_.index), ", thread ", triple(here.thread->index),
       " of ", kernel_name(launch_.start.kernel), " launched at ", place(launch_.site));
}

void block_barrier(Site site) { here.executor->barrier(false, site); }
BarrierVote block_barrier_vote(bool predicate, Site site) { return here.executor->barrier(predicate, site); }
void wait_in_warp(Site site) { here.executor->wait_in_warp(site); }
void release_lanes(Warp& warp, std::uint32_t lanes) { here.executor->release_lanes(warp, lanes); }
void* shared_variable(const void* key, std::size_t bytes, std::size_t alignment, const char* name) {
  return here.executor->shared_variable(key, bytes, alignment, name);
}
void look_at_access(const void* p, std::size_t bytes, std::size_t alignment, bool is_store, Site site) {
  if (reinterpret_cast<std::uintptr_t>(p) % alignment != 0)
    fail_in_kernel(is_store ? "misaligned store" : "misaligned load", site);
  if (here.watch != nullptr) here.watch->access(p, bytes, is_store, site);
}
void look_at_warp_operation(const Warp& warp, std::uint32_t lanes, bool orders_memory) {
  here.watch->warp_operation(warp, lanes, orders_memory);
}
void fail_in_kernel(const char* what, Site site) { here.executor->fail_here(what, site); }

}  // namespace alma::sim
