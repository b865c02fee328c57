#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/context.h"

namespace alma::bench {

/// How work goes through memory. Written over what was read, memory moves up to half as much again as from one array to
/// another, because a target must be fetched before it is written.
enum class Traffic { copy, in_place };

/// What the machine can do at best, measured in the same run as the benchmarks, because machines are shared and clocks move.
struct Ceilings {
  /// Bytes read and written per second, where all arrays together are `bytes`.
  struct Memory {
    double bytes = 0, copy = 0, in_place = 0;
  };
  double flops = 0;            // f32 fused multiply-adds per second, times 2; 0: not measured
  std::vector<Memory> memory;  // by size, ascending

  /// Bytes per second at a working set, between the measured sizes by interpolation in the logarithm.
  double bandwidth(double working_set, Traffic traffic) const;
  /// The time that work of this cost needs at least: the longer of computing and of moving its bytes.
  double floor_seconds(const Cost& cost, double working_set, Traffic traffic) const;
};

/// On the cpu: loops in vectors of the backend's level (for the copy also memcpy, the better counts), on as many threads as
/// the context has. On other devices: the backend's copy alone, for both kinds of traffic. Takes a few 100 ms, `quick` a few
/// 10.
Ceilings measure_ceilings(Context& context, bool quick);

/// One line: GFLOP/s, and GB/s by size.
std::string describe(const Ceilings& ceilings);
nlohmann::ordered_json to_json(const Ceilings& ceilings);

}  // namespace alma::bench
