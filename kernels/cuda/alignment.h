#pragma once
#include <cstdint>

namespace alma {

/// The largest power of two up to `most` that divides the address; `most` for null. The vendor libraries may choose 16-byte
/// accesses only where they are legal, and are told so.
inline std::uint32_t alignment_of(const void* memory, std::uint32_t most) {
  std::uint32_t alignment = most;
  while (reinterpret_cast<std::uintptr_t>(memory) % alignment != 0) alignment /= 2;
  return alignment;
}

}  // namespace alma
