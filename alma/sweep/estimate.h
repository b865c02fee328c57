#pragma once
#include <cstdint>
#include <string>

#include "alma/config/config.h"
#include "engine/cost.h"

namespace alma {

/// The cost of a learner on this machine, from a short measurement.
struct Probe {
  std::int64_t train_samples = 0, test_samples = 0;  // of the data set
  Count macs_per_sample = 0;                         // per training sample, counted as in the paper
  std::int64_t parameters = 0;                       // before any growth
  // What a growth step adds to a model that grows (LearnerKind::growths); the same at each.
  Count macs_per_growth = 0;
  std::int64_t parameters_per_growth = 0;
  double seconds_to_grow = 0;                        // per training sample of the update, at the first growth
  double seconds_to_train = 0, seconds_to_test = 0;  // per sample
  double bytes = 0;                                  // peak resident memory
};

/// Trains and tests the configured learner for about half a second. Throws as a run would.
Probe probe(const Config& config, const std::string& device, int threads);

/// The part of a configuration that a probe depends on: points for which it is equal have the same cost per sample.
std::string probe_key(const Config& config);

/// The cost model of a sweep: the cost of a run in which no update stops early.
struct Estimate {
  Count train_macs = 0;
  double seconds = 0;
  double bytes = 0;
};
Estimate estimate(const Config& config, const Probe& probe);

}  // namespace alma
