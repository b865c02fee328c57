#pragma once
#include <cstddef>

#if defined(__x86_64__)
#define ALMA_FIBER_X86 1
#else
#define ALMA_FIBER_X86 0
#include <ucontext.h>
#endif

namespace alma::sim {

/// A stack and the point where the code on it stopped. Fibers switch by hand and stay on the OS thread that made them.
class Fiber {
 public:
  using Entry = void (*)();

  /// The stack that is running now: something to come back to.
  Fiber() = default;
  /// A stack of its own, a guard page below it. `number` staggers the tops, so that many stacks do not share cache sets.
  explicit Fiber(std::size_t number);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// The next switch to this fiber calls `entry` on an empty stack; what was running there is forgotten.
  /// `entry` must call entered() first, and must not return.
  void prepare(Entry entry);
  static void entered(Fiber& caller);
  static void switch_to(Fiber& from, Fiber& to);

 private:
  unsigned char* mapping_ = nullptr;
  unsigned char* stack_ = nullptr;  // lowest address
  std::size_t size_ = 0;
  unsigned char* top_ = nullptr;
#if ALMA_FIBER_X86
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_{};
#endif
  void* fake_stack_ = nullptr;  // of the address sanitizer
};

}  // namespace alma::sim
