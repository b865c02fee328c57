#pragma once
#include <cstdint>
#include <string>

#include "engine/cost.h"

namespace alma {

// Numbers as people read them; files have all digits.

/// "54,000".
std::string grouped(std::int64_t value);
/// Three to four digits and a unit: "42.77 G".
std::string scaled(Count value);
/// "0.4s", "45s", "2m 10s", "3h 05m", "2d 04h".
std::string duration(double seconds);
/// A text padded with spaces to a width.
std::string padded(std::string text, std::size_t width);
/// A number with a fixed number of decimals: "0.1234".
std::string fixed(double value, int decimals);

/// A warning that only `started` of the threads `wanted` could be started; empty if all of them were.
std::string thread_shortage(int wanted, int started);

}  // namespace alma
