#include "alma/learn/auto_wait.h"

#include <algorithm>
#include <cmath>

namespace alma {

bool AutoWait::trains(std::int64_t samples) const { return samples > 0 && samples >= awaited(); }

void AutoWait::has_trained(std::int64_t samples, std::optional<double> error, std::int64_t validated) {
  last_ = samples;
  if (!error || validated < 1) return;
  const auto m = static_cast<double>(validated);
  const double e = std::clamp(*error, 0.5 / m, 1 - 0.5 / m);  // within half a sample of all or nothing
  // The variance of log e, of m draws, is (1 - e) / (e m).
  points_.push_back({std::log(static_cast<double>(samples)), std::log(e), m * e / (1 - e)});
}

double AutoWait::exponent() const {
  constexpr double known = 0.3, precision = 1 / (0.2 * 0.2), least = 0.05, most = 1;
  double weight = 0, x = 0, y = 0;
  for (const Point& point : points_) {
    weight += point.weight;
    x += point.weight * point.log_samples;
    y += point.weight * point.log_error;
  }
  double xx = 0, xy = 0;
  for (const Point& point : points_) {
    const double dx = point.log_samples - x / weight;
    xx += point.weight * dx * dx;
    xy += point.weight * dx * (point.log_error - y / weight);
  }
  return std::clamp((precision * known - xy) / (precision + xx), least, most);
}

std::int64_t AutoWait::awaited() const {
  const double b = exponent();
  return static_cast<std::int64_t>(std::ceil(std::pow(1 + b, 1 / b) * static_cast<double>(last_)));
}

}  // namespace alma
