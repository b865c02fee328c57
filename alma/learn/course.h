#pragma once
#include <cstdint>

namespace alma {

/// The length of a fit and the frequency of its validations (paper, appendix B; configuration section [train]).
struct CourseSettings {
  std::int64_t batch_size = 128;
  std::int64_t max_epochs = 100;
  std::int64_t max_steps = 0;       // if above 0: the number of steps after which the fit ends instead
  std::int64_t validate_every = 0;  // in steps, and at the end of the fit; 0: at the end of each epoch
  std::int64_t patience = 100;      // the fit ends after this many validations in a row without improvement
  double patience_delta = 0;        // a validation is better if it exceeds the best by more than this
};

/// The schedule of a fit: which samples each step takes, when to validate and when to stop. Every epoch has its own order of
/// samples; the last step of an epoch takes the remaining ones.
class Course {
 public:
  /// Throws Error without training samples.
  Course(std::int64_t samples, const CourseSettings& settings);
  /// The number of steps, if patience does not end the fit earlier.
  std::int64_t steps() const { return steps_; }
  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }
  /// The number of epochs begun within all steps.
  std::int64_t epochs() const { return (steps_ + steps_per_epoch_ - 1) / steps_per_epoch_; }
  /// The range of samples of a step, counted from 0: [first, last) in the order of its epoch.
  struct Range {
    std::int64_t first, last;
  };
  Range range(std::int64_t step) const;
  /// The number of samples that a number of steps trains on, repetitions included.
  std::int64_t samples_of(std::int64_t steps) const;
  /// Whether a validation follows after that many steps.
  bool validates_after(std::int64_t steps) const { return steps % validate_every_ == 0 || steps == steps_; }
  /// Whether the fit is over after that many steps, if the last `stale` validations were not better.
  bool ends(std::int64_t steps, std::int64_t stale) const { return steps >= steps_ || stale >= patience_; }

 private:
  std::int64_t samples_, batch_size_, steps_per_epoch_, steps_, validate_every_, patience_;
};

}  // namespace alma
