#pragma once
#include <cstddef>

/// What the address sanitizer has to be told: where memory may be touched and which stack is running. Empty without it.
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace alma::sim {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
inline void poison(const void* memory, std::size_t bytes) { __asan_poison_memory_region(memory, bytes); }
inline void unpoison(const void* memory, std::size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
inline void leave_stack(void** fake_stack, const void* next_stack, std::size_t next_size) {
  __sanitizer_start_switch_fiber(fake_stack, next_stack, next_size);
}
inline void arrive_on_stack(void* fake_stack, const void** left_stack, std::size_t* left_size) {
  __sanitizer_finish_switch_fiber(fake_stack, left_stack, left_size);
}
#else
inline constexpr bool kAddressSanitizer = false;
inline void poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}
inline void leave_stack(void**, const void*, std::size_t) {}
inline void arrive_on_stack(void*, const void**, std::size_t*) {}
#endif

}  // namespace alma::sim
