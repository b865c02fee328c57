#pragma once
// What the simulated vendor libraries have in common.
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/error.h"

namespace alma::sim {

/// An operand as tf32 takes it in: 10 bits of mantissa, rounded to nearest, ties away from zero, as the conversion
/// instruction does it; NaN and infinity stay.
inline float to_tf32(float value) {
  if (!std::isfinite(value)) return value;
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(value) + 0x1000) & ~std::uint32_t{0x1fff});
}

/// An argument in device memory.
struct Range {
  const void* begin;
  std::size_t bytes;
  const char* name;
};

/// Throws Error if two arguments share memory.
inline void require_apart(const char* call, const Range& a, const Range& b) {
  const auto *p = static_cast<const char*>(a.begin), *q = static_cast<const char*>(b.begin);
  if (p < q + b.bytes && q < p + a.bytes) fail("[", call, "] ", a.name, " overlaps ", b.name);
}

/// `why` ends the message.
inline void require_aligned(const char* call, const void* memory, std::uintptr_t alignment, const char* what,
                            const char* why = "") {
  if (reinterpret_cast<std::uintptr_t>(memory) % alignment != 0)
    fail("[", call, "] ", what, " is not aligned to ", alignment, " bytes", why);
}
inline constexpr std::uintptr_t kWorkspaceAlignment = 16;

}  // namespace alma::sim
