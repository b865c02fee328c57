#pragma once
#include <chrono>

namespace alma {

/// Monotonic time in seconds.
inline double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace alma
