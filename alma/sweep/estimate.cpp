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

double peak_bytes() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return 1024.0 * static_cast<double>(used.ru_maxrss);
}

}  // namespace

Probe probe(const Config& config, const std::string& device, int threads) {
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
  double trained = 0, tested = static_cast<double>(schedule.updates() * probe.test_samples);  // samples
  for (std::int64_t u = 0; u < schedule.updates(); ++u) {
    const auto [first, last] = schedule[u];
    for (std::int64_t t = config.learner.replay ? 0 : first; t < last; ++t) {
      const std::int64_t size = probe.train_samples / batches + (t < probe.train_samples % batches ? 1 : 0);
      const auto validated = static_cast<std::int64_t>(config.stream.validation * static_cast<double>(size));
      trained += static_cast<double>((size - validated) * config.train.max_epochs);
      tested += static_cast<double>(validated * config.train.max_epochs);
    }
  }
  Estimate result;
  result.train_macs = static_cast<Count>(trained) * probe.macs_per_sample;
  result.seconds = trained * probe.seconds_to_train + tested * probe.seconds_to_test;
  result.bytes = probe.bytes;
  const std::int64_t first = count_models(config, 0), last = count_models(config, schedule.updates());
  if (last > first)  // each new model has as many parameters as the first ones
    result.bytes += static_cast<double>(last - first) / static_cast<double>(first) * static_cast<double>(probe.parameters) *
                    sizeof(float);
  return result;
}

}  // namespace alma
