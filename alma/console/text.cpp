#include "alma/console/text.h"

#include <cmath>
#include <cstdio>

namespace alma {

std::string grouped(std::int64_t value) {
  std::string text = std::to_string(value);
  const std::size_t first = value < 0 ? 1 : 0;
  for (std::size_t at = text.size(); at > first + 3;) text.insert(at -= 3, ",");
  return text;
}

std::string scaled(Count value) {
  if (value < 10000) return std::to_string(static_cast<int>(value));
  double rest = static_cast<double>(value);
  const char* unit = " kMGTPEZY";
  while (rest >= 1000 && unit[1] != '\0') rest /= 1000, ++unit;
  char text[64];
  std::snprintf(text, sizeof text, "%.4g %c", rest, *unit);
  return text;
}

std::string duration(double seconds) {
  if (seconds < 9.95) return fixed(seconds, 1) + "s";
  const long long whole = std::llround(seconds), minutes = whole / 60, hours = minutes / 60;
  char text[64];
  if (hours >= 24) {
    std::snprintf(text, sizeof text, "%lldd %02lldh", hours / 24, hours % 24);
  } else if (hours > 0) {
    std::snprintf(text, sizeof text, "%lldh %02lldm", hours, minutes % 60);
  } else if (minutes > 0) {
    std::snprintf(text, sizeof text, "%lldm %02llds", minutes, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%llds", whole);
  }
  return text;
}

std::string fixed(double value, int decimals) {
  char text[400];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

std::string thread_shortage(int wanted, int started) {
  if (started >= wanted) return "";
  return "only " + std::to_string(started) + " of " + std::to_string(wanted) +
         " threads could be started; they do all of the work. To have more, raise the limits on processes (ulimit -u) and "
         "memory (ulimit -v); to have no warning, set --threads to this number";
}

}  // namespace alma
