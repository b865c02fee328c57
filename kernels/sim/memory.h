#pragma once
#include <driver_types.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "kernels/sim/races.h"

/// The simulated device's memory: exact-size host blocks, so that the address sanitizer sees the first byte beyond one,
/// filled with 0xff (NaN as f32, -1 as i32), so that values read before they are written show in the result. Under memcheck
/// blocks lie further apart, know which of their bytes were written, and are kept for a while after they were freed.
namespace alma::sim {

inline constexpr std::size_t kDeviceAlignment = 256;

/// What a call does with memory: nothing; reads bytes that must have been written; writes all of it; passes on what is
/// there, written or not; takes it without writing.
enum class Use : std::uint8_t { none, read, write, pass_on, take };

/// Operation number `tick` of stream number `stream`; 0: none.
struct StreamTime {
  std::uint32_t stream = 0;
  std::uint64_t tick = 0;
  const char* what = nullptr;  // the call or the kernel
};

/// One block of device memory.
struct Allocation {
  std::uintptr_t begin = 0;
  std::size_t bytes = 0;
  std::uint64_t number = 0;  // in order of their making, from 1
  bool live = true;
  /// Per byte: was it written? Empty for a block from a time without memcheck: every byte counts as written.
  std::vector<std::uint8_t> written;
  RaceCells races;  // accesses of kernels
  /// Per byte: 1 if the kernel that is being counted has read it, 2 if it has written it.
  std::vector<std::uint8_t> counted;
  StreamTime writer;                // the operation that wrote last
  std::vector<StreamTime> readers;  // since then, the last one of each stream

  bool holds(std::uintptr_t address) const { return address - begin < bytes; }
  bool all_written(std::size_t offset, std::size_t count) const;
  void mark_written(std::size_t offset, std::size_t count);
};

/// Bytes that can be allocated.
std::size_t device_memory_left();
/// Null when the device has no memory left.
void* allocate_device(std::size_t bytes);
/// Throws Error if `memory` is not the start of a live block.
void free_device(void* memory, const char* call);
/// Throws Error unless [memory, memory + bytes) lies in one live block, and under memcheck if bytes are read that were never
/// written; `what` names the argument. The block stays valid until it is freed.
Allocation& require_device(const void* memory, std::size_t bytes, const char* call, const char* what, Use use = Use::write);
/// Throws Error if memory points into a live block of the device.
void require_host(const void* memory, const char* call, const char* what);
/// A copy within the device: bytes that were never written stay so.
void copy_written(void* target, const void* source, std::size_t bytes);

/// Memcheck goes off: from here on nobody notes what is written, so all of it counts as written.
void stop_memcheck();

/// The blocks next to an address, for the checks of a launch. They hold the lock that allocate_device()
/// and free_device() need.
struct Neighbours {
  Allocation* before = nullptr;  // the last one that begins at the address or below
  Allocation* after = nullptr;
};
std::unique_lock<std::mutex> lock_device_memory();
Neighbours neighbours_of(std::uintptr_t address);

}  // namespace alma::sim
