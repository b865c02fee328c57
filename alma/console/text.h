#pragma once
#include <cstdint>
#include <string>

#include "engine/cost.h"

namespace alma {

// How numbers look to people; files get them in full.

/// "54,000".
std::string grouped(std::int64_t value);
/// Three to four digits and a unit: "42.77 G".
std::string scaled(Count value);
/// "0.4s", "45s", "2m 10s", "3h 05m", "2d 04h".
std::string duration(double seconds);
/// With spaces up to a width.
std::string padded(std::string text, std::size_t width);
/// With so many decimals: "0.1234".
std::string fixed(double value, int decimals);

/// A warning that only `started` of the threads `wanted` could be started; empty if all of them were.
std::string thread_shortage(int wanted, int started);

}  // namespace alma
