#include "kernels/sim/counters.h"

#include <algorithm>
#include <deque>
#include <iterator>

#include "kernels/sim/memory.h"
#include "kernels/sim/symbols.h"

namespace alma::sim {
namespace {

std::deque<KernelCounters>& all_kernels() {
  static auto& instance = *new std::deque<KernelCounters>;
  return instance;
}

// The numbers of the `unit`-sized pieces of memory that the lanes [begin, end) touch, each once.
template <class Request>
std::vector<std::uintptr_t> pieces(const Request& request, std::size_t unit, std::size_t begin, std::size_t end) {
  std::vector<std::uintptr_t> touched;
  for (std::size_t lane = begin; lane < end; ++lane) {
    if ((request.lanes >> lane & 1) == 0) continue;
    const std::uintptr_t first = request.address[lane] / unit, last = (request.address[lane] + request.bytes - 1) / unit;
    for (std::uintptr_t piece = first; piece <= last; ++piece) touched.push_back(piece);
  }
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  return touched;
}

}  // namespace

KernelCounters& counters_of(const void* kernel) {
  std::deque<KernelCounters>& all = all_kernels();
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.kernel == kernel; });
  return found != all.end() ? *found : all.emplace_back(KernelCounters{kernel, kernel_name(kernel), {}, {}});
}

void RequestCounter::access(std::size_t thread, std::uintptr_t address, std::size_t bytes, bool is_store, bool is_shared,
                            std::uint16_t site) {
  Warp& warp = warps_[thread / 32];
  const std::size_t slot = 2 * std::size_t{site} + (is_shared ? 1 : 0), lane = thread % 32;
  if (slot >= warp.pending.size()) warp.pending.resize(slot + 1);
  Pending& pending = warp.pending[slot];
  if (pending.requests.empty()) warp.filled.push_back(slot);
  pending.is_store = is_store;
  const std::size_t i = pending.executed[lane]++;
  if (i == pending.requests.size()) pending.requests.emplace_back();
  Request& request = pending.requests[i];
  request.address[lane] = address;
  request.lanes |= 1u << lane;
  request.bytes = static_cast<std::uint32_t>(bytes);
}

void RequestCounter::flush(std::size_t index) {
  Warp& warp = warps_[index];
  for (const std::size_t slot : warp.filled) {
    Pending& pending = warp.pending[slot];
    for (const Request& request : pending.requests) count(request, slot, pending.is_store);
    pending.requests.clear();
    std::fill(std::begin(pending.executed), std::end(pending.executed), 0);
  }
  warp.filled.clear();
}

void RequestCounter::flush_all() {
  for (std::size_t warp = 0; warp < warps_.size(); ++warp) flush(warp);
}

void RequestCounter::count(const Request& request, std::size_t slot, bool is_store) {
  if (slot >= counters_.accesses.size()) counters_.accesses.resize(slot + 1);
  AlmaSimAccess& access = counters_.accesses[slot];
  const std::source_location& site = sites_[slot / 2];
  access.file = site.file_name();
  access.line = site.line();
  access.column = site.column();
  access.is_store = is_store;
  access.width = request.bytes;
  access.is_shared = slot % 2 == 1;
  ++access.requests;
  const std::uint64_t bytes = pieces(request, 1, 0, 32).size();
  access.bytes += bytes;
  if (!access.is_shared) {
    access.sectors += pieces(request, 32, 0, 32).size();
    (is_store ? counters_.total.bytes_written : counters_.total.bytes_read) += bytes;
    return;
  }
  // A pass serves a warp's 4-byte accesses, half a warp's 8-byte and a quarter warp's 16-byte ones, and per bank one word.
  const std::size_t lanes = request.bytes <= 4 ? 32 : request.bytes <= 8 ? 16 : 8;
  for (std::size_t begin = 0; begin < 32; begin += lanes) {
    std::uint64_t words[32] = {};
    for (const std::uintptr_t word : pieces(request, 4, begin, begin + lanes)) ++words[word % 32];
    const std::uint64_t passes = *std::max_element(std::begin(words), std::end(words));
    access.wavefronts += passes;
    access.conflicts += passes > 0 ? passes - 1 : 0;
  }
}

}  // namespace alma::sim

extern "C" {

__attribute__((visibility("default"))) void alma_sim_reset_counters() {
  const auto lock = alma::sim::lock_device_memory();
  alma::sim::all_kernels().clear();
}

__attribute__((visibility("default"))) std::size_t alma_sim_counted_kernels() {
  const auto lock = alma::sim::lock_device_memory();
  return alma::sim::all_kernels().size();
}

__attribute__((visibility("default"))) AlmaSimKernel alma_sim_counted_kernel(std::size_t i) {
  const auto lock = alma::sim::lock_device_memory();
  static auto& executed = *new std::vector<AlmaSimAccess>;
  const alma::sim::KernelCounters& kernel = alma::sim::all_kernels().at(i);
  executed.clear();
  std::copy_if(kernel.accesses.begin(), kernel.accesses.end(), std::back_inserter(executed),
               [](const AlmaSimAccess& access) { return access.requests > 0; });
  AlmaSimKernel result = kernel.total;
  result.name = kernel.name.c_str();
  result.accesses = executed.size();
  result.access = executed.data();
  return result;
}
}
