#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/cost.h"

namespace alma {

/// Where an update is, after each of its steps.
struct FitProgress {
  std::int64_t epoch = 0;  // finished
  std::int64_t max_epochs = 0;
  std::int64_t samples = 0;  // trained on since the update began, repeats counted
};

/// Called after every step, when everything is consistent: may save a checkpoint; may throw to end the run.
using AfterStep = std::function<void(const FitProgress&)>;

/// What an update has come to.
struct FitResult {
  std::int64_t epochs = 0;
  std::optional<double> best;  // quality() of the best weights on the validation part; none if that is empty
  Cost cost;                   // of training steps: forward and backward
};

/// Counts in a checkpoint: exact decimal text.
std::string to_text(Count count);
/// Throws Error(ErrorKind::data) if the text is not a count.
Count count_from_text(const std::string& text);

}  // namespace alma
