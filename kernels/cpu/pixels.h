#pragma once
#include <cstdint>
#include <cstring>

#include "kernels/cpu/vector.h"

namespace alma {

/// As many pixels as a vector of floats has lanes, as floats 0 .. 255.
inline Vector<float> load_pixels(const std::uint8_t* source) {
  return __builtin_convertvector(load_bytes(source), Vector<float>);
}

/// The first `count` of them, and zeros; memory behind them is not touched.
inline Vector<float> load_pixels_part(const std::uint8_t* source, std::int64_t count) {
  std::uint8_t part[kLanes<float>] = {};
  std::memcpy(part, source, static_cast<std::size_t>(count));
  return load_pixels(part);
}

}  // namespace alma
