#pragma once
#include <cstdint>
#include <string>

#include "alma/config/config.h"
#include "engine/cost.h"

namespace alma {

/// What a learner costs on this machine, measured for a moment.
struct Probe {
  std::int64_t train_samples = 0, test_samples = 0;  // of the data set
  Count macs_per_sample = 0;                         // of a training sample, the paper's convention
  std::int64_t parameters = 0;                       // before any growth
  double seconds_to_train = 0, seconds_to_test = 0;  // per sample
  double bytes = 0;                                  // resident memory at most
};

/// Trains and tests what the configuration asks for, for about half a second. Throws as a run would.
Probe probe(const Config& config, const std::string& device, int threads);

/// The part of a configuration that a probe depends on: points that agree in it cost the same per sample.
std::string probe_key(const Config& config);

/// What a run will cost, if no patience ends an update early: the cost model of a sweep.
struct Estimate {
  Count train_macs = 0;
  double seconds = 0;
  double bytes = 0;
};
Estimate estimate(const Config& config, const Probe& probe);

}  // namespace alma
