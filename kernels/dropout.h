#pragma once
#include <cstdint>

#include "base/philox.h"

namespace alma {

/// An element whose random bits are below this is dropped: probability * 2^32, the same integer on every device.
inline std::uint32_t dropout_threshold(double probability) { return static_cast<std::uint32_t>(probability * 0x1p32); }

}  // namespace alma
