#pragma once
#include <bit>
#include <cstdint>

namespace alma {

/// bfloat16 as it lies in memory: the upper half of an f32. Storage; arithmetic is done in f32.
struct Bf16 {
  std::uint16_t bits = 0;

  Bf16() = default;
  /// Rounds to the nearest, ties to even; NaN stays NaN.
  explicit Bf16(float value) {
    const auto f32 = std::bit_cast<std::uint32_t>(value);
    const bool is_nan = (f32 & 0x7fffffff) > 0x7f800000;
    // Rounding could carry the bits of a NaN into infinity: it is made quiet instead.
    bits = static_cast<std::uint16_t>(is_nan ? f32 >> 16 | 0x40 : (f32 + 0x7fff + (f32 >> 16 & 1)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

}  // namespace alma
