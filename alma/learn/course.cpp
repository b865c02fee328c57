#include "alma/learn/course.h"

#include <algorithm>

#include "base/error.h"

namespace alma {

Course::Course(std::int64_t samples, const CourseSettings& settings)
    : samples_(samples),
      batch_size_(settings.batch_size),
      steps_per_epoch_((samples + batch_size_ - 1) / batch_size_),
      steps_(settings.max_steps > 0 ? settings.max_steps : settings.max_epochs * steps_per_epoch_),
      validate_every_(settings.validate_every > 0 ? settings.validate_every : steps_per_epoch_),
      patience_(settings.patience) {
  if (samples < 1) fail("[fit] no training samples");
}

Course::Range Course::range(std::int64_t step) const {
  const std::int64_t first = step % steps_per_epoch_ * batch_size_;
  return {first, std::min(first + batch_size_, samples_)};
}

std::int64_t Course::samples_of(std::int64_t steps) const {
  return steps / steps_per_epoch_ * samples_ + std::min(steps % steps_per_epoch_ * batch_size_, samples_);
}

}  // namespace alma
