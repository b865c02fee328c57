#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "kernels/backend.h"

namespace alma {

/// The free blocks of one size. There is always room for all of them, since a destructor puts blocks back and may not fail.
class Blocks {
 public:
  /// Reserves room for a block that is about to be made. May throw std::bad_alloc.
  void make_room() {
    if (free_.capacity() <= made_) free_.reserve(2 * made_ + 1);
  }
  /// Counts a block that has been made and is in use.
  void made() noexcept { ++made_; }
  void put(void* memory) noexcept { free_.push_back(memory); }
  /// Takes a free block; null if there is none.
  void* take() noexcept {
    if (free_.empty()) return nullptr;
    void* memory = free_.back();
    free_.pop_back();
    return memory;
  }
  /// Calls visit(memory) for all free blocks and forgets them.
  template <class Visit>
  void take_all(const Visit& visit) noexcept {
    for (void* memory : free_) visit(memory);
    made_ -= free_.size();
    free_.clear();
  }

 private:
  std::vector<void*> free_;
  std::size_t made_ = 0;  // free or in use
};

/// Free blocks of device memory by size.
class FreeBlocks {
 public:
  static constexpr std::size_t kUnit = 512;
  /// The blocks of a size. May throw std::bad_alloc for a size that is new.
  Blocks& of(std::size_t size) { return size / kUnit < kSmallSizes ? small_[size / kUnit] : large_[size]; }
  /// Calls visit(blocks, size) for every size.
  template <class Visit>
  void for_each(const Visit& visit) {
    for (std::size_t i = 0; i < kSmallSizes; ++i) visit(small_[i], i * kUnit);
    for (auto& [size, blocks] : large_) visit(blocks, size);
  }

 private:
  static constexpr std::size_t kSmallSizes = 1024;
  std::array<Blocks, kSmallSizes> small_;  // sizes of 0, 1, 2, ... units
  std::unordered_map<std::size_t, Blocks> large_;
};

/// The memory of a captured graph: its blocks are reserved for it while the pool lives.
struct MemoryPool {
  FreeBlocks free;
  std::size_t tensors = 0;  // blocks in use
  bool sealed = false;      // takes no more memory from the device, as during a capture
};

/// Caches freed device memory for the next tensor of the same size, so that a steady training step allocates nothing on the
/// device. Work on a stream runs in order, so memory may be reused before the work that used it has run.
class Allocator {
 public:
  explicit Allocator(Backend& backend) : backend_(backend) {}
  ~Allocator() { trim(); }
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  /// At least `bytes` of uninitialised memory. Throws Error when the cap or the device is exhausted even after the
  /// cache was freed.
  void* allocate(std::size_t bytes);
  /// Frees memory; `bytes` is the argument of allocate(). Allocates nothing itself.
  void release(void* memory, std::size_t bytes) noexcept;
  /// From now on, new memory belongs to the pool and returns to it when it is released; null: to the general cache, as
  /// usual. Throws nothing; pools do not nest.
  void use_pool(MemoryPool* pool) noexcept { pool_ = pool; }
  /// Moves the pool's free memory to the general cache; the memory of living tensors follows when they release it.
  void dissolve(MemoryPool& pool) noexcept;
  /// Frees the cached memory on the device, except that of pools.
  void trim() noexcept;
  /// Sets the upper bound of memory in use and cached together; 0: no bound.
  void set_cap(std::size_t bytes) { cap_ = bytes; }

  struct Stats {
    std::size_t in_use = 0;         // bytes, rounded up as allocated
    std::size_t cached = 0;         // bytes
    std::size_t peak = 0;           // largest in_use + cached
    std::int64_t device_calls = 0;  // allocations that reached the device
  };
  const Stats& stats() const { return stats_; }

 private:
  static std::size_t rounded(std::size_t bytes);
  void* new_block(std::size_t size);

  Backend& backend_;
  FreeBlocks free_;
  MemoryPool* pool_ = nullptr;                     // in use
  std::unordered_map<void*, MemoryPool*> owners_;  // of blocks of pools
  std::size_t cap_ = 0;
  Stats stats_;
};

}  // namespace alma
