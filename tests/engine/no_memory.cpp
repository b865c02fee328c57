#include "tests/engine/no_memory.h"

#include <cstdlib>
#include <new>

namespace {
constinit thread_local bool none = false;
}

void* operator new(std::size_t bytes) {
  void* memory = none ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace alma::test {

NoMemory::NoMemory() { none = true; }
NoMemory::~NoMemory() { none = false; }

}  // namespace alma::test
