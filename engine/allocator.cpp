#include "engine/allocator.h"

#include <algorithm>

namespace alma {

// Multiples of 512 bytes: tensors of nearly equal size share blocks, and every block starts aligned for any vector width.
std::size_t Allocator::rounded(std::size_t bytes) { return std::max((bytes + kUnit - 1) / kUnit * kUnit, kUnit); }

std::vector<void*>& Allocator::free_blocks(std::size_t size) {
  return size / kUnit < kSmallSizes ? small_[size / kUnit] : large_[size];
}

void* Allocator::allocate(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  if (auto& blocks = free_blocks(size); !blocks.empty()) {
    void* memory = blocks.back();
    blocks.pop_back();
    stats_.cached -= size;
    stats_.in_use += size;
    return memory;
  }
  if (cap_ != 0 && stats_.in_use + stats_.cached + size > cap_) {
    trim();
    if (stats_.in_use + size > cap_)
      fail("[allocator] out of memory: ", bytes, " bytes asked for, ", stats_.in_use, " in use, cap ", cap_,
           "; raise the cap");
  }
  void* memory = nullptr;
  try {
    memory = backend_.allocate(size);
  } catch (const Error&) {
    if (stats_.cached == 0) throw;
    trim();
    memory = backend_.allocate(size);
  }
  ++stats_.device_calls;
  stats_.in_use += size;
  stats_.peak = std::max(stats_.peak, stats_.in_use + stats_.cached);
  return memory;
}

void Allocator::release(void* memory, std::size_t bytes) noexcept {
  const std::size_t size = rounded(bytes);
  stats_.in_use -= size;
  stats_.cached += size;
  free_blocks(size).push_back(memory);
}

void Allocator::trim() noexcept {
  const auto give_back = [this](std::vector<void*>& blocks) {
    for (void* memory : blocks) backend_.deallocate(memory);
    blocks.clear();
  };
  for (auto& blocks : small_) give_back(blocks);
  for (auto& [size, blocks] : large_) give_back(blocks);
  stats_.cached = 0;
}

}  // namespace alma
