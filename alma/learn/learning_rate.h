#pragma once
#include <cstdint>

namespace alma {

/// How the learning rate changes over the steps of a fit.
struct RateSchedule {
  enum class Shape {
    constant,
    inverse_sqrt,  // 1 / sqrt(step) after the warm-up (Vaswani et al. 2017)
    cosine,        // half a cosine, down to 0 (Loshchilov and Hutter 2017, without restarts)
    linear,        // a line, down to 0
  };
  Shape shape = Shape::constant;
  std::int64_t warm_up = 0;  // steps in which the rate rises to its full value, evenly
};

/// The factor of the learning rate in a step, from 0 to steps - 1.
double rate_factor(const RateSchedule& schedule, std::int64_t step, std::int64_t steps);

}  // namespace alma
