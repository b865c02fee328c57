#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

/// What tests may ask of the simulator and change in it. In libalma_cuda_sim.so these are exported C symbols; the settings
/// hold for the whole process. At the start, ALMA_SIM_ORDER=sequential | reverse | random[:seed] sets the order and
/// ALMA_SIM_CHECK, a list of memcheck, racecheck, streams and counters with commas between, the checks.
extern "C" {

/// The order in which threads of a block and blocks of a grid get to run. Correct kernels give the same bits in all.
enum AlmaSimOrder { alma_sim_sequential = 0, alma_sim_reverse = 1, alma_sim_random = 2 };
void alma_sim_set_order(AlmaSimOrder order, std::uint64_t seed);

/// Kernels launched so far, products included.
std::uint64_t alma_sim_launches();
/// From now on (or no longer) every launch is noted as text, "kernel (grid) (block)", those of graphs included.
void alma_sim_note_launches(int on);
std::size_t alma_sim_noted_launches();
/// Valid until the next launch or call of alma_sim_note_launches().
const char* alma_sim_noted_launch(std::size_t i);

/// What is looked at while kernels run; each finding throws an Error that names kernel, source line, block and thread. While
/// any is on, launches run on one OS thread.
enum AlmaSimCheck : unsigned {
  /// Accesses out of bounds, of freed memory, and reads of bytes that nobody has written; global and shared memory.
  alma_sim_memcheck = 1,
  /// Conflicting accesses of two threads that no barrier and no __syncwarp orders, in whatever order threads happen to run.
  alma_sim_racecheck = 2,
  /// Two streams that use one allocation, or a stream and the host pinned memory, and neither waits for the other. Memory
  /// that a copy downloads to is delivered when the host waits for the copy.
  alma_sim_streams = 4,
  /// Memory traffic of every call of load() and store(): see AlmaSimKernel.
  alma_sim_counters = 8,
};
void alma_sim_set_checks(unsigned checks);
unsigned alma_sim_checks();

/// One call of load() or store() in a kernel, in global or in shared memory. Lanes of a warp that execute the call for the
/// i-th time since they last came together (at a barrier or a warp operation of all lanes) make one request.
struct AlmaSimAccess {
  const char* file;
  unsigned line, column;
  int is_store, is_shared;
  unsigned width;  // bytes of one lane
  std::uint64_t requests;
  std::uint64_t bytes;       ///< distinct ones of each request
  std::uint64_t sectors;     ///< global: 32-byte sectors touched; the efficiency is bytes / (32 * sectors)
  std::uint64_t wavefronts;  ///< shared: passes over the 32 banks of 4 bytes
  std::uint64_t conflicts;   ///< shared: wavefronts beyond one per warp (8-byte accesses: half, 16-byte: quarter warp)
};

/// What a kernel did since the counters were reset, over all its launches.
struct AlmaSimKernel {
  const char* name;  ///< with its template arguments
  std::uint64_t launches, blocks;
  unsigned block_threads;                         ///< of a block, the most of all launches
  std::uint64_t dynamic_shared;                   ///< bytes of a block, likewise
  std::uint64_t barriers;                         ///< passed by blocks
  std::uint64_t warp_operations;                  ///< shuffles, votes, reductions, __syncwarp of a warp
  std::uint64_t bytes_read, bytes_written;        ///< global memory, summed over requests
  std::uint64_t distinct_read, distinct_written;  ///< global memory, each byte once per launch
  std::size_t accesses;
  const AlmaSimAccess* access;
};
void alma_sim_reset_counters();
/// The kernels launched since then in the order of their first launch. What they point to is valid until the next launch or
/// call of a function of this group.
std::size_t alma_sim_counted_kernels();
AlmaSimKernel alma_sim_counted_kernel(std::size_t i);

/// What the simulator passes for, to the program and its errors.
struct AlmaSimDevice {
  int driver;        ///< the CUDA version that the driver supports, 12080 for 12.8; 0: there is no driver
  int devices;       ///< all alike and with one memory for all; a stream belongs to the one on which it was made
  int major, minor;  ///< compute capability
  std::size_t memory;
};
/// As it is at the start: a driver of this build's CUDA version, one GPU of sm_80 with 8 GiB.
AlmaSimDevice alma_sim_device();
void alma_sim_set_device(AlmaSimDevice device);

/// From now on cuBLASLt knows no algorithm for epilogues with a mask or a bias gradient, as may happen with a real one.
void alma_sim_plain_products_only(bool only);
}

namespace alma::sim {

struct Schedule {
  AlmaSimOrder order = alma_sim_sequential;
  std::uint64_t seed = 1;
};
Schedule schedule();
bool notes_launches();
void count_launch(const std::string& note);
/// `describe` makes the launch's text, where it is wanted.
template <class Describe>
void count_launch(const Describe& describe) {
  count_launch(notes_launches() ? std::string(describe()) : std::string());
}
/// The setting alone; alma_sim_set_checks() also ends what a check that goes off has begun.
void store_checks(unsigned checks);
inline bool checks_on(AlmaSimCheck check) { return (alma_sim_checks() & check) != 0; }
bool plain_products_only();

}  // namespace alma::sim
