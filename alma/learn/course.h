#pragma once
#include <cstdint>

namespace alma {

/// How long a fit trains, and how often it is validated (paper, appendix B; configuration section [train]).
struct CourseSettings {
  std::int64_t batch_size = 128;
  std::int64_t max_epochs = 100;
  std::int64_t max_steps = 0;       // more than 0: ends after so many steps instead, within an epoch or not
  std::int64_t validate_every = 0;  // steps, and at the end; 0: at the end of each epoch
  std::int64_t patience = 100;      // ends after this many validations in a row that were not better
  double patience_delta = 0;        // "better" means by more than this
};

/// The steps of a fit: which samples each of them takes, when to validate and when to stop. Epochs follow one another, each
/// in an order of its own, whose last step takes what is left.
class Course {
 public:
  /// Throws Error without training samples.
  Course(std::int64_t samples, const CourseSettings& settings);
  /// All steps, if patience does not end it before.
  std::int64_t steps() const { return steps_; }
  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }
  /// Those begun within all steps.
  std::int64_t epochs() const { return (steps_ + steps_per_epoch_ - 1) / steps_per_epoch_; }
  /// What a step, counted from 0, takes: [first, last) of the order of its epoch.
  struct Range {
    std::int64_t first, last;
  };
  Range range(std::int64_t step) const;
  /// How many samples so many steps have trained on, repeats counted.
  std::int64_t samples_of(std::int64_t steps) const;
  /// Whether a validation follows when so many steps have been done.
  bool validates_after(std::int64_t steps) const { return steps % validate_every_ == 0 || steps == steps_; }
  /// Whether it is over after so many steps, the last `stale` validations of which were not better.
  bool ends(std::int64_t steps, std::int64_t stale) const { return steps >= steps_ || stale >= patience_; }

 private:
  std::int64_t samples_, batch_size_, steps_per_epoch_, steps_, validate_every_, patience_;
};

}  // namespace alma
