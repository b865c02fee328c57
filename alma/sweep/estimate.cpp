#include "alma/sweep/estimate.h"

#include <sys/resource.h>

#include <algorithm>

#include "alma/config/config.h"
#include "alma/learn/kinds.h"
#include "base/clock.h"
#include "data/stream.h"

namespace alma {

namespace {

constexpr double kSeconds = 0.5;
constexpr std::int64_t kSteps = 3;  // least number of steps; the first is not timed

struct Enough {};

// What an update costs, from its first steps.
double seconds_to_train(Learner& learner, const Samples& samples, const MegaBatch& data) {
  std::int64_t steps = 0, first_samples = 0;
  double seconds_per_sample = 0;
  double start = 0;
  try {
    learner.update(0, samples, data, [&](const FitProgress& fit) {
      if (++steps == 1) {
        start = steady_seconds();
        first_samples = fit.samples;
        return;
      }
      seconds_per_sample =
          (steady_seconds() - start) / static_cast<double>(std::max<std::int64_t>(1, fit.samples - first_samples));
      if (steps >= kSteps && steady_seconds() - start >= kSeconds) throw Enough{};
    });
  } catch (const Enough&) {
  }
  return seconds_per_sample;
}

// Grows the learner as its second update would.
void grow(Learner& learner, const Samples& samples, const MegaBatch& data) {
  try {
    learner.update(1, samples, data, [](const FitProgress&) { throw Enough{}; });
  } catch (const Enough&) {
  }
}

double peak_bytes() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return 1024.0 * static_cast<double>(used.ru_maxrss);
}

}  // namespace

Probe probe(const Config& configured, const std::string& device, int threads) {
  Config config = configured;
  config.learner.grow_every = 1;
  Context context(device, threads);
  const Task task = image_task(config, load_data(config));
  const auto train = task.train(context), test = task.test(context);
  const auto learner = make_learner(config, context, task.input);
  Probe result;
  result.train_samples = train->count();
  result.test_samples = test->count();
  result.macs_per_sample = learner->macs_per_sample(*train);
  result.parameters = learner->parameters();
  // Uses at most the first tenth of the data, and no validation, whose share is known.
  MegaBatch some;
  for (std::int32_t i = 0; i < std::max<std::int64_t>(1, train->count() / 10); ++i) some.train.push_back(i);
  result.seconds_to_train = seconds_to_train(*learner, *train, some);
  const std::int64_t tested = std::min<std::int64_t>(test->count(), 512);
  const auto evaluate = learner->evaluator(context, test, all_indices(context, tested));
  evaluate({});
  const double start = steady_seconds();
  evaluate({});
  result.seconds_to_test = (steady_seconds() - start) / static_cast<double>(tested);
  result.bytes = peak_bytes();
  if (count_growths(config, 1) > 0) {
    grow(*learner, *train, some);
    result.macs_per_growth = learner->macs_per_sample(*train) - result.macs_per_sample;
    result.parameters_per_growth = learner->parameters() - result.parameters;
  }
  return result;
}

std::string probe_key(const Config& config) {
  Config reduced = config;
  const Config::Stream stream;
  reduced.seed = 0;
  reduced.stream.mega_batches = stream.mega_batches;
  reduced.stream.validation = stream.validation;
  reduced.stream.seed = stream.seed;
  reduced.stream.untrained = stream.untrained;
  reduced.learner.wait = 1;
  reduced.learner.replay = false;
  reduced.learner.from_scratch = false;
  reduced.learner.grow_every = 1;
  reduced.train.max_epochs = 1;
  reduced.train.patience = 1;
  reduced.train.patience_delta = 0;
  reduced.train.checkpoint_seconds = 0;
  return write_config(reduced);
}

Estimate estimate(const Config& config, const Probe& probe) {
  const std::int64_t batches = config.stream.mega_batches;
  const Schedule schedule(batches, config.learner.wait);
  Estimate result;
  for (std::int64_t u = 0; u < schedule.updates(); ++u) {
    std::int64_t before = 0, arrived = 0, validated = 0;  // samples
    const auto [first, last] = schedule[u];
    for (std::int64_t t = 0; t < last; ++t) {
      const std::int64_t size = probe.train_samples / batches + (t < probe.train_samples % batches ? 1 : 0);
      const auto held_out = static_cast<std::int64_t>(config.stream.validation * static_cast<double>(size));
      (t < first ? before : arrived) += size - held_out;
      if (t >= first || config.learner.replay) validated += held_out;
    }
    const std::int64_t trained = epoch_samples(config, before, arrived) * config.train.max_epochs;
    const std::int64_t tested = validated * config.train.max_epochs;
    const Count macs = probe.macs_per_sample + static_cast<Count>(count_growths(config, u)) * probe.macs_per_growth;
    // A model that has grown takes longer in proportion to its multiply-adds.
    const double slower =
        probe.macs_per_growth == 0 ? 1 : static_cast<double>(macs) / static_cast<double>(probe.macs_per_sample);
    result.train_macs += static_cast<Count>(trained) * macs;
    result.seconds += slower * (static_cast<double>(trained) * probe.seconds_to_train +
                                static_cast<double>(tested + probe.test_samples) * probe.seconds_to_test);
  }
  result.bytes = probe.bytes;
  const std::int64_t first = count_models(config, 0), last = count_models(config, schedule.updates());
  if (last > first)  // each new model has as many parameters as the first ones
    result.bytes += static_cast<double>(last - first) / static_cast<double>(first) * static_cast<double>(probe.parameters) *
                    sizeof(float);
  // Weights, gradients, the optimizer's two states, the best weights.
  result.bytes +=
      static_cast<double>(count_growths(config, schedule.updates() - 1) * probe.parameters_per_growth) * 5 * sizeof(float);
  return result;
}

}  // namespace alma
