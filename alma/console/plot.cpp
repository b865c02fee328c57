#include "alma/console/plot.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "alma/console/text.h"

namespace alma {

namespace {

constexpr int kRows = 10;
constexpr int kMargin = 9;  // "  0.900 |"

// One value per column: repeated if there is room, else the mean of those that share a column.
std::vector<double> to_columns(std::span<const double> values, std::size_t room) {
  std::vector<double> columns;
  const std::size_t n = values.size();
  if (n <= room) {
    for (double value : values) columns.insert(columns.end(), room / n, value);
    return columns;
  }
  for (std::size_t i = 0; i < room; ++i) {
    const std::size_t first = i * n / room, last = (i + 1) * n / room;
    double sum = 0;
    for (std::size_t j = first; j < last; ++j) sum += values[j];
    columns.push_back(sum / static_cast<double>(last - first));
  }
  return columns;
}

// The next "nice" number: 1, 1.5, 2, 3, 5 or 7.5 times a power of ten, at least `value`.
double axis_top(double value) {
  if (!(value > 0)) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (double nice : {1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0})
    if (nice * power >= value * (1 - 1e-9)) return nice * power;
  return 10 * power;
}

// The character of a cell that covers heights row .. row + 1 when the curve is at `height`, all in rows.
const char* cell(double height, int row, bool unicode) {
  if (!unicode) return static_cast<int>(std::min(std::floor(height), kRows - 1.0)) == row ? "*" : " ";
  static const char* const eighths[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const long filled = std::lround((height - row) * 8);
  return eighths[std::clamp(filled, 0L, 8L)];
}

std::string label(double value) {
  const std::string text = fixed(value, 3);
  return std::string(text.size() < 7 ? 7 - text.size() : 0, ' ') + text + " |";
}

}  // namespace

std::string plot_curve(std::span<const double> values, const std::string& title, int columns, bool unicode) {
  if (values.empty()) return "";
  const auto room = static_cast<std::size_t>(std::max(columns - kMargin, 8));
  const std::vector<double> curve = to_columns(values, room);
  const double top = axis_top(*std::max_element(values.begin(), values.end()));
  std::string text = std::string(kMargin, ' ') + title + "\n";
  for (int row = kRows - 1; row >= 0; --row) {
    std::string line = row == kRows - 1 ? label(top) : row == kRows / 2 - 1 ? label(top / 2) : std::string(8, ' ') + "|";
    for (double value : curve) line += cell(value / top * kRows, row, unicode);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  const std::string last = std::to_string(values.size());
  const std::string axis = "mega-batch";
  std::string names = "1";
  if (curve.size() > names.size() + axis.size() + last.size() + 2) {
    names.resize((curve.size() - axis.size()) / 2, ' ');
    names += axis;
  }
  if (curve.size() > names.size() + last.size()) names += std::string(curve.size() - names.size() - last.size(), ' ') + last;
  return text + "  0.000 +" + std::string(curve.size(), '-') + "\n" + std::string(kMargin, ' ') + names + "\n";
}

}  // namespace alma
