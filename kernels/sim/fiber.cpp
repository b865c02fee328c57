#include "kernels/sim/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "base/error.h"
#include "kernels/sim/sanitizer.h"

namespace alma::sim {
namespace {

// Kernels keep little on the stack; the sanitizer's red zones need more.
constexpr std::size_t kStackBytes = (kAddressSanitizer ? 256 : 64) * 1024;
// A large power of two between stacks puts their hot ends into the same cache sets: 1,024 threads then fight for
// a few lines.
constexpr std::size_t kStagger = 448;
constexpr std::size_t kStaggerRange = 8192;

}  // namespace

#if ALMA_FIBER_X86
// Saves the registers that a call must preserve (System V ABI), exchanges the stacks and returns on the new one: 15 ns,
// where swapcontext() takes 300 because it also saves the signal mask with a system call.
extern "C" void alma_sim_switch_stack(void** save_stack_pointer, void* next_stack_pointer);
asm(R"(
.text
.align 16
.hidden alma_sim_switch_stack
.globl alma_sim_switch_stack
.type alma_sim_switch_stack, @function
alma_sim_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size alma_sim_switch_stack, . - alma_sim_switch_stack
)");
#endif

Fiber::Fiber(std::size_t number) : size_(kStackBytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* mapping = mmap(nullptr, page + size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) fail("[sim] no memory for the stack of simulated thread ", number);
  mapping_ = static_cast<unsigned char*>(mapping);
  mprotect(mapping_, page, PROT_NONE);
  stack_ = mapping_ + page;
  top_ = stack_ + size_ - number * kStagger % kStaggerRange;
  top_ -= reinterpret_cast<std::uintptr_t>(top_) % 64;
}

Fiber::~Fiber() {
  if (mapping_ == nullptr) return;
  unpoison(stack_, size_);
  munmap(mapping_, static_cast<std::size_t>(stack_ - mapping_) + size_);
}

void Fiber::prepare(Entry entry) {
  unpoison(stack_, size_);
#if ALMA_FIBER_X86
  auto** top = reinterpret_cast<void**>(top_);
  *--top = nullptr;  // a call would have left the stack 8 bytes off a multiple of 16, with a return address on it
  *--top = reinterpret_cast<void*>(entry);
  for (int saved_register = 0; saved_register < 6; ++saved_register) *--top = nullptr;
  stack_pointer_ = top;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = static_cast<std::size_t>(top_ - stack_);
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
#endif
}

void Fiber::entered(Fiber& caller) {
  const void* stack = nullptr;
  std::size_t size = 0;
  arrive_on_stack(nullptr, &stack, &size);
  if (caller.stack_ == nullptr && stack != nullptr) {  // bounds of the OS thread's own stack, which only the sanitizer knows
    caller.stack_ = static_cast<unsigned char*>(const_cast<void*>(stack));
    caller.size_ = size;
  }
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
  leave_stack(&from.fake_stack_, to.stack_, to.size_);
#if ALMA_FIBER_X86
  alma_sim_switch_stack(&from.stack_pointer_, to.stack_pointer_);
#else
  swapcontext(&from.context_, &to.context_);
#endif
  const void* stack = nullptr;
  std::size_t size = 0;
  arrive_on_stack(from.fake_stack_, &stack, &size);
}

}  // namespace alma::sim
