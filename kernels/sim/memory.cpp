#include "kernels/sim/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>

#include "base/error.h"
#include "kernels/sim/control.h"

namespace alma::sim {
namespace {

// Under memcheck. The gap is what an access can miss its block by without hitting another one.
constexpr std::size_t kGap = 4096;
constexpr std::size_t kKeptBytes = std::size_t{64} << 20;

struct Blocks {
  std::mutex mutex;
  std::map<std::uintptr_t, std::unique_ptr<Allocation>> all;  // by address
  std::deque<Allocation*> freed;                              // that are kept
  std::size_t live_bytes = 0, freed_bytes = 0;
  std::uint64_t made = 0;

  // The live block that holds `memory`, or null.
  Allocation* find(const void* memory) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory);
    auto block = all.upper_bound(address);
    if (block == all.begin()) return nullptr;
    Allocation* found = (--block)->second.get();
    return found->live && found->holds(address) ? found : nullptr;
  }
  void give_back(Allocation* block) {
    void* memory = reinterpret_cast<void*>(block->begin);
    all.erase(block->begin);
    std::free(memory);
  }
};

Blocks& blocks() {
  static Blocks& instance = *new Blocks;  // never destroyed: backends may outlive static objects
  return instance;
}

std::size_t left(const Blocks& all) {
  const std::size_t memory = alma_sim_device().memory;
  return memory - std::min(memory, all.live_bytes);
}

}  // namespace

std::size_t device_memory_left() {
  const std::lock_guard lock(blocks().mutex);
  return left(blocks());
}

bool Allocation::all_written(std::size_t offset, std::size_t count) const {
  return written.empty() || std::memchr(written.data() + offset, 0, count) == nullptr;
}

void Allocation::mark_written(std::size_t offset, std::size_t count) {
  if (!written.empty()) std::memset(written.data() + offset, 1, count);
}

void* allocate_device(std::size_t bytes) {
  const bool memcheck = checks_on(alma_sim_memcheck);
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  if (bytes > left(all)) return nullptr;
  void* memory = nullptr;
  if (posix_memalign(&memory, kDeviceAlignment, bytes + (memcheck ? kGap : 0)) != 0) return nullptr;
  std::memset(memory, 0xff, bytes);
  auto block = std::make_unique<Allocation>();
  block->begin = reinterpret_cast<std::uintptr_t>(memory);
  block->bytes = bytes;
  block->number = ++all.made;
  if (memcheck) block->written.assign(bytes, 0);
  all.all[block->begin] = std::move(block);
  all.live_bytes += bytes;
  return memory;
}

void free_device(void* memory, const char* call) {
  const bool memcheck = checks_on(alma_sim_memcheck);
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  Allocation* block = all.find(memory);
  if (block == nullptr || block->begin != reinterpret_cast<std::uintptr_t>(memory))
    fail("[", call, "] ", memory, " is not memory that this device gave and that is still in use");
  all.live_bytes -= block->bytes;
  std::memset(memory, 0xff, block->bytes);
  if (!memcheck) return all.give_back(block);
  block->live = false;
  block->written = {};
  block->races.clear();
  all.freed.push_back(block);
  all.freed_bytes += block->bytes;
  while (all.freed_bytes > kKeptBytes) {
    all.freed_bytes -= all.freed.front()->bytes;
    all.give_back(all.freed.front());
    all.freed.pop_front();
  }
}

Allocation& require_device(const void* memory, std::size_t bytes, const char* call, const char* what, Use use) {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  Allocation* block = all.find(memory);
  if (block == nullptr) fail("[", call, "] ", what, " ", memory, " is not memory of the device");
  const std::size_t offset = reinterpret_cast<std::uintptr_t>(memory) - block->begin;
  if (bytes > block->bytes - offset)
    fail("[", call, "] ", what, " reaches ", bytes, " bytes far, but its block of device memory ends after ",
         block->bytes - offset);
  if (use == Use::write) block->mark_written(offset, bytes);
  if (use == Use::read && !block->all_written(offset, bytes)) {
    std::size_t first = offset;
    while (block->written[first]) ++first;
    fail("[", call, "] memcheck: ", what, " reads byte ", first, " of allocation ", block->number, " (", block->bytes,
         " bytes), which was never written");
  }
  return *block;
}

void require_host(const void* memory, const char* call, const char* what) {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  if (all.find(memory) != nullptr) fail("[", call, "] ", what, " ", memory, " is memory of the device, not of the host");
}

void copy_written(void* target, const void* source, std::size_t bytes) {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  Allocation *to = all.find(target), *from = all.find(source);
  if (to->written.empty()) return;
  const std::size_t to_offset = reinterpret_cast<std::uintptr_t>(target) - to->begin;
  if (from->written.empty()) return to->mark_written(to_offset, bytes);
  const std::size_t from_offset = reinterpret_cast<std::uintptr_t>(source) - from->begin;
  std::memmove(to->written.data() + to_offset, from->written.data() + from_offset, bytes);
}

void stop_memcheck() {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  for (const auto& [address, block] : all.all) block->written = {};
}

std::unique_lock<std::mutex> lock_device_memory() { return std::unique_lock(blocks().mutex); }

Neighbours neighbours_of(std::uintptr_t address) {
  auto& all = blocks().all;
  const auto after = all.upper_bound(address);
  return {after == all.begin() ? nullptr : std::prev(after)->second.get(),
          after == all.end() ? nullptr : after->second.get()};
}

}  // namespace alma::sim
