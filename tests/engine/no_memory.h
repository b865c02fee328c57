#pragma once

namespace alma::test {

/// While it exists, operator new throws std::bad_alloc on this thread.
class NoMemory {
 public:
  NoMemory();
  ~NoMemory();
  NoMemory(const NoMemory&) = delete;
  NoMemory& operator=(const NoMemory&) = delete;
};

}  // namespace alma::test
