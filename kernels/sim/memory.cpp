#include "kernels/sim/memory.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "kernels/error.h"

namespace alma::sim {
namespace {

struct Blocks {
  std::mutex mutex;
  std::map<std::uintptr_t, std::size_t> sizes;  // by address
  std::size_t total = 0;

  // The live block that holds `memory`, or end().
  std::map<std::uintptr_t, std::size_t>::iterator find(const void* memory) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory);
    auto block = sizes.upper_bound(address);
    if (block == sizes.begin()) return sizes.end();
    --block;
    return address < block->first + block->second ? block : sizes.end();
  }
};

Blocks& blocks() {
  static Blocks& instance = *new Blocks;  // never destroyed: backends may outlive static objects
  return instance;
}

}  // namespace

void* allocate_device(std::size_t bytes) {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  if (bytes > kDeviceMemory || all.total > kDeviceMemory - bytes) return nullptr;
  void* memory = nullptr;
  if (posix_memalign(&memory, kDeviceAlignment, bytes) != 0) return nullptr;
  std::memset(memory, 0xff, bytes);
  all.sizes[reinterpret_cast<std::uintptr_t>(memory)] = bytes;
  all.total += bytes;
  return memory;
}

void free_device(void* memory, const char* call) {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  const auto block = all.sizes.find(reinterpret_cast<std::uintptr_t>(memory));
  if (block == all.sizes.end())
    fail("[", call, "] ", memory, " is not memory that this device gave and that is still in use");
  all.total -= block->second;
  std::memset(memory, 0xff, block->second);
  all.sizes.erase(block);
  std::free(memory);
}

void require_device(const void* memory, std::size_t bytes, const char* call, const char* what) {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  const auto block = all.find(memory);
  if (block == all.sizes.end()) fail("[", call, "] ", what, " ", memory, " is not memory of the device");
  const std::size_t available = block->first + block->second - reinterpret_cast<std::uintptr_t>(memory);
  if (bytes > available)
    fail("[", call, "] ", what, " reaches ", bytes, " bytes far, but its block of device memory ends after ", available);
}

void require_host(const void* memory, const char* call, const char* what) {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  if (all.find(memory) != all.sizes.end())
    fail("[", call, "] ", what, " ", memory, " is memory of the device, not of the host");
}

}  // namespace alma::sim
