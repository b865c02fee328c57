#pragma once
#include <chrono>

namespace alma {

/// Seconds that never go back.
inline double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace alma
