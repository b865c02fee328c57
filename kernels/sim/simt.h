#pragma once
// The simulator's side of kernels/cuda/launch.h: what a .cu file needs in order to be plain C++. Every CUDA thread is a
// fiber; fibers switch only where a thread waits, so a kernel without barriers runs as ordinary calls.
#include <cuda_runtime_api.h>
#include <vector_functions.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kernels/cuda/grid.h"

// The toolkit's headers leave __global__ and __device__ empty for a host compiler, but not this one.
#undef __launch_bounds__
#define __launch_bounds__(...)
#define ALMA_UNROLL _Pragma("GCC unroll 32")

namespace alma::sim {

class Executor;
class Fiber;
class Onlooker;
using Site = std::source_location;

enum class ThreadState : std::uint8_t { unstarted, running, in_warp_operation, at_barrier, exited };

struct Warp;

/// One CUDA thread of the block that this OS thread is executing.
struct Thread {
  uint3 index{};  // threadIdx
  std::uint32_t lane = 0;
  ThreadState state = ThreadState::unstarted;
  Warp* warp = nullptr;
  Fiber* fiber = nullptr;
  Site site;  // where it waits
  // What it brought to the warp operation it waits in; both point into its own stack.
  const void* in = nullptr;
  void* out = nullptr;
  std::uint32_t mask = 0;
  const void* operation = nullptr;
};

struct Warp {
  Thread* lanes = nullptr;
  std::uint32_t present = 0;  // lanes that exist: fewer than 32 in the last warp of an odd block
  std::uint32_t arrived = 0;  // lanes that wait in a warp operation
  std::uint32_t exited = 0;
};

/// What all threads of the running block share.
struct Block {
  uint3 index{};       // blockIdx
  dim3 threads, grid;  // blockDim, gridDim
  unsigned char* dynamic_shared = nullptr;
};

/// What runs now on this OS thread. initial-exec: a plain offset instead of a call for each threadIdx.
struct Here {
  Thread* thread = nullptr;
  Block* block = nullptr;
  Executor* executor = nullptr;
  Onlooker* watch = nullptr;  // if accesses are checked or counted
};

// ---- the executor, as kernels see it (executor.cpp) -----------------------------------------------------------------
// The library of cuda-sim exports it, for the kernels of other projects.
#pragma GCC visibility push(default)

extern constinit thread_local Here here __attribute__((tls_model("initial-exec")));
void block_barrier(Site site);
/// A barrier that also counts the threads whose predicate is true. `alive`: threads that took part.
struct BarrierVote {
  int count, alive;
};
BarrierVote block_barrier_vote(bool predicate, Site site);
/// Waits until the other lanes of the warp operation have come.
void wait_in_warp(Site site);
/// Lets the lanes go on that wait in a finished warp operation.
void release_lanes(Warp& warp, std::uint32_t lanes);
/// The block's instance of a shared variable; `key` names the declaration.
void* shared_variable(const void* key, std::size_t bytes, std::size_t alignment, const char* name);
/// Ends the launch with an Error that names the source line, the block and the thread.
[[noreturn]] void fail_in_kernel(const char* what, Site site);

/// Throws Error if the address is not aligned; tells the watch.
void look_at_access(const void* p, std::size_t bytes, std::size_t alignment, bool is_store, Site site);
/// The lanes have come together. `orders_memory`: what each wrote before, all may read now.
void look_at_warp_operation(const Warp& warp, std::uint32_t lanes, bool orders_memory);

/// What runs as one CUDA thread: invoke(arguments), which calls `kernel`.
struct Start {
  const void* kernel = nullptr;
  void (*invoke)(const void*) = nullptr;
  std::shared_ptr<const void> arguments;  // shared with the graph that the launch is recorded in
};
/// Runs a grid to its end or, while the stream captures, records it.
void run_grid(const Grid& grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream, const Start& start);
#pragma GCC visibility pop

/// Is there something to look at before an access: a wrong alignment, or a watch?
template <class V>
inline bool remarkable(const void* p) {
  return ((reinterpret_cast<std::uintptr_t>(p) & (alignof(V) - 1)) | reinterpret_cast<std::uintptr_t>(here.watch)) != 0;
}

}  // namespace alma::sim

#define threadIdx (::alma::sim::here.thread->index)
#define blockIdx (::alma::sim::here.block->index)
#define blockDim (::alma::sim::here.block->threads)
#define gridDim (::alma::sim::here.block->grid)

// A shared array, `ALMA_SHARED(float, tile, [2][16][68])`: memory of the block, filled with NaN bytes before it starts.
#define ALMA_SHARED(T, name, extent)                                               \
  using name##_shared_type = T extent;                                             \
  static const char name##_shared_key = 0;                                         \
  auto& name = *static_cast<name##_shared_type*>(                                  \
      ::alma::sim::shared_variable(&name##_shared_key, sizeof(name##_shared_type), \
                                   alignof(name##_shared_type) < 16 ? 16 : alignof(name##_shared_type), #name))
// The shared memory whose size the launch gives.
#define ALMA_DYNAMIC_SHARED(T, name) T* name = reinterpret_cast<T*>(::alma::sim::here.block->dynamic_shared)

namespace alma {

/// Starts a kernel; throws Error if the configuration is wrong or the kernel does something undefined.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), Grid grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "as many arguments as the kernel has parameters");
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> parameters;
  };
  auto call = std::make_shared<const Call>(Call{kernel, std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)});
  const auto invoke = [](const void* arguments_of_call) {
    const Call& c = *static_cast<const Call*>(arguments_of_call);
    std::apply(c.kernel, c.parameters);
  };
  sim::run_grid(grid, block, shared_bytes, stream, {reinterpret_cast<const void*>(kernel), invoke, std::move(call)});
}

/// Reads a V at p, which must be aligned for it: load<float>(x + i), load<float4>(x + 4 * i).
template <class V, class T>
inline V load(const T* p, sim::Site site = sim::Site::current()) {
  if (sim::remarkable<V>(p)) [[unlikely]]
    sim::look_at_access(p, sizeof(V), alignof(V), false, site);
  V value;
  std::memcpy(&value, __builtin_assume_aligned(p, alignof(V)), sizeof(V));
  return value;
}
/// Writes a V at p: store<float4>(y + 4 * i, v).
template <class V, class T>
inline void store(T* p, const std::type_identity_t<V>& value, sim::Site site = sim::Site::current()) {
  if (sim::remarkable<V>(p)) [[unlikely]]
    sim::look_at_access(p, sizeof(V), alignof(V), true, site);
  std::memcpy(__builtin_assume_aligned(p, alignof(V)), &value, sizeof(V));
}

}  // namespace alma

inline void __syncthreads(std::source_location site = std::source_location::current()) { alma::sim::block_barrier(site); }
inline int __syncthreads_count(int predicate, std::source_location site = std::source_location::current()) {
  return alma::sim::block_barrier_vote(predicate != 0, site).count;
}
inline int __syncthreads_or(int predicate, std::source_location site = std::source_location::current()) {
  return alma::sim::block_barrier_vote(predicate != 0, site).count != 0;
}
inline int __syncthreads_and(int predicate, std::source_location site = std::source_location::current()) {
  const alma::sim::BarrierVote vote = alma::sim::block_barrier_vote(predicate != 0, site);
  return vote.count == vote.alive;
}

#include "kernels/sim/intrinsics.h"
#include "kernels/sim/warp.h"
