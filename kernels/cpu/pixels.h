#pragma once
#include <cstdint>
#include <cstring>

#include "kernels/cpu/vector.h"

namespace alma {

/// As many pixels as a vector of floats has lanes, as floats 0 .. 255.
inline Vector<float> load_pixels(const std::uint8_t* source) {
  constexpr int lanes = kLanes<float>;
  typedef std::uint8_t Bytes __attribute__((vector_size(lanes)));
  Bytes bytes;
  std::memcpy(&bytes, source, sizeof bytes);
#if defined(__AVX512F__)
  return (Vector<float>)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32((__m128i)bytes));
#else
  return __builtin_convertvector(__builtin_convertvector(bytes, Vector<std::int32_t>), Vector<float>);
#endif
}

/// The first `count` of them, and zeros; memory behind them is not touched.
inline Vector<float> load_pixels_part(const std::uint8_t* source, std::int64_t count) {
  std::uint8_t part[kLanes<float>] = {};
  std::memcpy(part, source, static_cast<std::size_t>(count));
  return load_pixels(part);
}

}  // namespace alma
