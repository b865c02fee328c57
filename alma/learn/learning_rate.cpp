#include "alma/learn/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace alma {

double rate_factor(const RateSchedule& schedule, std::int64_t step, std::int64_t steps) {
  const std::int64_t warm_up = schedule.warm_up;
  if (step < warm_up) return static_cast<double>(step + 1) / static_cast<double>(warm_up);
  // Of the steps behind the warm-up, the part that is done.
  const double done = static_cast<double>(step - warm_up) / static_cast<double>(std::max<std::int64_t>(1, steps - warm_up));
  switch (schedule.shape) {
    case RateSchedule::Shape::constant: break;
    case RateSchedule::Shape::inverse_sqrt:
      return std::sqrt(static_cast<double>(std::max<std::int64_t>(1, warm_up)) / static_cast<double>(step + 1));
    case RateSchedule::Shape::cosine: return (1 + std::cos(std::numbers::pi * done)) / 2;
    case RateSchedule::Shape::linear: return 1 - done;
  }
  return 1;
}

}  // namespace alma
