#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace alma {

/// e^x in f32, branch-free so that loops over it vectorise. Within 1.5 ulp of the exact value; -inf gives 0, results below
/// the smallest normal number are rounded once to a subnormal, above 88.72 +inf, NaN stays NaN.
/// e^x = 2^n e^r with n = round(x / ln 2) and |r| <= ln(2) / 2, where e^r = 1 + r + r^2 q(r); q interpolates at the
/// Chebyshev nodes of that interval (relative error of e^r: 1.1e-8).
inline float exponential(float x) {
  constexpr float low = -104, high = 89;  // beyond them the result is 0 or inf in any case
  constexpr float log2_e = 0x1.715476p+0f;
  constexpr float ln2_high = 0x1.62e4p-1f;  // 15 bits: n * ln2_high is exact
  constexpr float ln2_low = 0x1.7f7d1cp-20f;
  constexpr float round_bits = 0x1.8p23f;  // adding it leaves the rounded integer in the low bits
  float clamped = x < low ? low : x;       // in this order NaN passes
  clamped = clamped > high ? high : clamped;
  const float shifted = clamped * log2_e + round_bits;
  const float n = shifted - round_bits;
  const float r = (clamped - n * ln2_high) - n * ln2_low;
  const float q = 0.5f + r * (0.16666576f + r * (0.041666556f + r * (0.0083632031f + r * 0.0013926213f)));
  const float e_r = 1.0f + (r + r * r * q);
  // 2^n in two factors: n reaches -150 and 128, which one float exponent does not hold. Unsigned, because NaN
  // brings any bits.
  const std::int32_t power = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(shifted) - 0x4b400000u);
  const std::int32_t half = power >> 1;
  const std::uint32_t first = (static_cast<std::uint32_t>(half) + 127u) << 23;
  const std::uint32_t second = (static_cast<std::uint32_t>(power) - static_cast<std::uint32_t>(half) + 127u) << 23;
  return e_r * std::bit_cast<float>(first) * std::bit_cast<float>(second);
}

inline double exponential(double x) { return std::exp(x); }

}  // namespace alma
