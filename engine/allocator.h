#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "kernels/backend.h"

namespace alma {

/// Keeps freed device memory for the next tensor of the same size, so that a steady training step asks the device for
/// nothing. Work on a stream runs in order, so memory may be handed out again before the work that used it has run.
class Allocator {
 public:
  explicit Allocator(Backend& backend) : backend_(backend) {}
  ~Allocator() { trim(); }
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  /// At least `bytes` of uninitialised memory. Throws Error when the cap or the device is exhausted, after giving back the
  /// cache.
  void* allocate(std::size_t bytes);
  /// `bytes` as asked for in allocate().
  void release(void* memory, std::size_t bytes) noexcept;
  /// Gives cached memory back to the device.
  void trim() noexcept;
  /// Upper bound for memory in use and cached together; 0: none.
  void set_cap(std::size_t bytes) { cap_ = bytes; }

  struct Stats {
    std::size_t in_use = 0;         // bytes, rounded up as allocated
    std::size_t cached = 0;         // bytes
    std::size_t peak = 0;           // largest in_use + cached
    std::int64_t device_calls = 0;  // allocations that reached the device
  };
  const Stats& stats() const { return stats_; }

 private:
  static constexpr std::size_t kUnit = 512, kSmallSizes = 1024;
  static std::size_t rounded(std::size_t bytes);
  std::vector<void*>& free_blocks(std::size_t size);

  Backend& backend_;
  std::array<std::vector<void*>, kSmallSizes> small_;  // free blocks of 0, 1, 2, ... units
  std::unordered_map<std::size_t, std::vector<void*>> large_;
  std::size_t cap_ = 0;
  Stats stats_;
};

}  // namespace alma
