#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/context.h"

namespace alma::bench {

/// The access pattern of work. In place, memory moves up to 1.5 times as fast as from one array to another, because a target
/// must be fetched before it is written.
enum class Traffic { copy, in_place };

/// The peak rates of the machine, measured in the same run as the benchmarks, because machines are shared and
/// clock rates change.
struct Ceilings {
  /// Bytes read and written per second by work whose arrays together have `bytes` bytes.
  struct Memory {
    double bytes = 0, copy = 0, in_place = 0;
  };
  double flops = 0;            // f32 fused multiply-adds per second, times 2; 0: not measured
  std::vector<Memory> memory;  // by size, ascending

  /// Bytes per second at a working set, interpolated logarithmically between the measured sizes.
  double bandwidth(double working_set, Traffic traffic) const;
  /// The least time for work of this cost: the longer of computing and moving its bytes.
  double floor_seconds(const Cost& cost, double working_set, Traffic traffic) const;
};

/// On the cpu: loops in vectors of the backend's level (for the copy also memcpy; the better one counts), on as many threads
/// as the context has. On other devices: only the backend's copy, for both kinds of traffic. Takes a few 100 ms, or a few 10
/// ms if `quick`.
Ceilings measure_ceilings(Context& context, bool quick);

/// One line: GFLOP/s, and GB/s by size.
std::string describe(const Ceilings& ceilings);
nlohmann::ordered_json to_json(const Ceilings& ceilings);

}  // namespace alma::bench
