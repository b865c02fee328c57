#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/cost.h"

namespace alma {

/// The progress of an update, after each of its steps.
struct FitProgress {
  std::int64_t epoch = 0;  // finished
  std::int64_t max_epochs = 0;
  std::int64_t samples = 0;  // samples trained on since the update began, repetitions included
};

/// A function that is called after every step, when the state is consistent: it may save a checkpoint, or throw to
/// end the run.
using AfterStep = std::function<void(const FitProgress&)>;

/// The result of an update.
struct FitResult {
  std::int64_t epochs = 0;
  std::optional<double> best;  // quality() of the best weights on the validation data; none without such data
  Cost cost;                   // of training steps: forward and backward
};

/// A count as a checkpoint stores it: exact decimal text.
std::string to_text(Count count);
/// Throws Error(ErrorKind::data) if the text is not a count.
Count count_from_text(const std::string& text);

}  // namespace alma
