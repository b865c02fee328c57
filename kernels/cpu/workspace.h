#pragma once
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace alma {

/// Scratch memory of one call, kept for the next: a steady-state step allocates nothing. Grows, never shrinks.
class Workspace {
 public:
  /// Uninitialised, aligned to 64 bytes; valid until the next call.
  template <class T>
  T* take(std::int64_t count) {
    const std::size_t bytes = (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    if (bytes > bytes_) {
      memory_.reset();  // first, so that the old and the new block are not both held
      bytes_ = 0;
      memory_.reset(std::aligned_alloc(64, bytes));
      if (!memory_) throw std::bad_alloc();
      bytes_ = bytes;
    }
    return static_cast<T*>(memory_.get());
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  std::size_t bytes_ = 0;
};

}  // namespace alma
