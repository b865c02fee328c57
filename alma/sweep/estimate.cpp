#include "alma/sweep/estimate.h"

#include <sys/resource.h>

#include <algorithm>

#include "alma/config/config.h"
#include "alma/learn/kinds.h"
#include "alma/run/updates.h"
#include "base/clock.h"
#include "data/stream.h"

namespace alma {

namespace {

constexpr double kSeconds = 0.5;
constexpr std::size_t kGrowthSamples = 256;
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
  const Task task = load_task(config);
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
  if (count_growths(config, 1) > 0 || width_factor(config, 1) > 1) {
    some.train.resize(std::min<std::size_t>(some.train.size(), kGrowthSamples));
    const double begin = steady_seconds();
    grow(*learner, *train, some);
    result.seconds_to_grow = (steady_seconds() - begin) / static_cast<double>(some.train.size());
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
  reduced.train.max_steps = 0;
  reduced.train.patience = 1;
  reduced.train.patience_delta = 0;
  reduced.train.checkpoint_seconds = 0;
  return write_config(reduced);
}

namespace {

/// What a model that has grown takes, as a multiple of what it took at first, if its first growth added `more` of it.
/// Experts are added one by one. A layer's weights grow with its own width and that of the layer before; those of the first
/// and last layers with one of them: of a width f, a f + b f^2.
double grown(const Config& config, std::int64_t update, double more) {
  if (more <= 0) return 1;
  const double f = width_factor(config, update);
  if (f == 1) return 1 + more * static_cast<double>(count_growths(config, update));
  Config each = config;
  each.learner.grow_every = 1;
  const double f1 = width_factor(each, 1), b = (1 + more - f1) / (f1 * f1 - f1);
  return (1 - b) * f + b * f * f;
}

}  // namespace

Estimate estimate(const Config& config, const Probe& probe) {
  const std::int64_t batches = config.stream.mega_batches;
  const std::vector<UpdateSpan> updates = expected_updates(batches, config.learner.wait);
  Estimate result;
  std::int64_t before = 0, held_out_before = 0;  // samples of the updates so far, to train and to validate
  for (std::int64_t u = 0; u < std::ssize(updates); ++u) {
    const auto [first, last] = updates[static_cast<std::size_t>(u)];
    std::int64_t arrived = 0, held_out = 0;
    for (std::int64_t t = first; t < last; ++t) {
      const std::int64_t size = probe.train_samples / batches + (t < probe.train_samples % batches ? 1 : 0);
      const auto validation = static_cast<std::int64_t>(config.stream.validation * static_cast<double>(size));
      arrived += size - validation;
      held_out += validation;
    }
    const std::int64_t epoch = epoch_samples(config, before, arrived);
    const std::int64_t trained =
        config.train.max_steps > 0 ? config.train.max_steps * config.train.batch_size : epoch * config.train.max_epochs;
    const std::int64_t epochs = epoch == 0 ? 0 : (trained + epoch - 1) / epoch;
    const std::int64_t validated = held_out + (config.learner.replay ? held_out_before : 0);
    before += arrived;
    held_out_before += held_out;
    const std::int64_t tested = validated * epochs;
    const double more = probe.macs_per_sample == 0
                            ? 0
                            : static_cast<double>(probe.macs_per_growth) / static_cast<double>(probe.macs_per_sample);
    // A model that has grown takes longer in proportion to its multiply-adds.
    const double slower = grown(config, u, more);
    result.train_macs +=
        slower == 1
            ? static_cast<Count>(trained) * probe.macs_per_sample
            : static_cast<Count>(static_cast<double>(trained) * slower * static_cast<double>(probe.macs_per_sample) + 0.5);
    if (u > 0 && grown(config, u, more) > grown(config, u - 1, more))
      result.seconds += static_cast<double>(epoch) * probe.seconds_to_grow;
    result.seconds += slower * (static_cast<double>(trained) * probe.seconds_to_train +
                                static_cast<double>(tested + probe.test_samples) * probe.seconds_to_test);
  }
  result.bytes = probe.bytes;
  const std::int64_t first = count_models(config, 0), last = count_models(config, std::ssize(updates));
  if (last > first)  // each new model has as many parameters as the first ones
    result.bytes += static_cast<double>(last - first) / static_cast<double>(first) * static_cast<double>(probe.parameters) *
                    sizeof(float);
  // Weights, gradients, the optimizer's two states, the best weights.
  const auto parameters = static_cast<double>(probe.parameters);
  if (parameters > 0)
    result.bytes +=
        (grown(config, std::ssize(updates) - 1, static_cast<double>(probe.parameters_per_growth) / parameters) - 1) *
        parameters * 5 * sizeof(float);
  return result;
}

}  // namespace alma
