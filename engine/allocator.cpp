#include "engine/allocator.h"

#include <algorithm>

namespace alma {

// Multiples of 512 bytes: tensors of nearly equal size share blocks, and every block starts aligned for any vector width.
std::size_t Allocator::rounded(std::size_t bytes) {
  constexpr std::size_t unit = FreeBlocks::kUnit;
  return std::max((bytes + unit - 1) / unit * unit, unit);
}

void* Allocator::allocate(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  Blocks& blocks = (pool_ == nullptr ? free_ : pool_->free).of(size);
  if (void* memory = blocks.take()) {
    stats_.cached -= size;
    stats_.in_use += size;
    if (pool_ != nullptr) ++pool_->tensors;
    return memory;
  }
  if (pool_ != nullptr && pool_->sealed)
    fail("[allocator] captured work asks for other memory than it did before: ", bytes, " bytes");
  if (cap_ != 0 && stats_.in_use + stats_.cached + size > cap_) {
    trim();
    if (stats_.in_use + stats_.cached + size > cap_)
      fail("[allocator] out of memory: ", bytes, " bytes asked for, ", stats_.in_use + stats_.cached, " in use, cap ", cap_,
           "; raise the cap");
  }
  Blocks& everybodys = free_.of(size);  // where a pool's blocks go in the end
  everybodys.make_room();
  if (pool_ != nullptr) blocks.make_room();
  void* memory = new_block(size);
  everybodys.made();
  if (pool_ != nullptr) {
    blocks.made();
    ++pool_->tensors;
  }
  ++stats_.device_calls;
  stats_.in_use += size;
  stats_.peak = std::max(stats_.peak, stats_.in_use + stats_.cached);
  return memory;
}

void* Allocator::new_block(std::size_t size) {
  void* memory = nullptr;
  try {
    memory = backend_.allocate(size);
  } catch (const Error&) {
    if (stats_.cached == 0) throw;
    trim();
    memory = backend_.allocate(size);
  }
  if (pool_ == nullptr) return memory;
  try {
    owners_[memory] = pool_;
  } catch (...) {
    backend_.deallocate(memory);
    throw;
  }
  return memory;
}

void Allocator::release(void* memory, std::size_t bytes) noexcept {
  const std::size_t size = rounded(bytes);
  stats_.in_use -= size;
  stats_.cached += size;
  if (!owners_.empty()) {
    if (const auto owner = owners_.find(memory); owner != owners_.end()) {
      owner->second->free.of(size).put(memory);
      --owner->second->tensors;
      return;
    }
  }
  free_.of(size).put(memory);
}

void Allocator::dissolve(MemoryPool& pool) noexcept {
  pool.free.for_each([this](Blocks& blocks, std::size_t size) {
    blocks.take_all([this, size](void* memory) { free_.of(size).put(memory); });
  });
  std::erase_if(owners_, [&pool](const auto& owned) { return owned.second == &pool; });
}

void Allocator::trim() noexcept {
  free_.for_each([this](Blocks& blocks, std::size_t size) {
    blocks.take_all([this, size](void* memory) {
      backend_.deallocate(memory);
      stats_.cached -= size;
    });
  });
}

}  // namespace alma
