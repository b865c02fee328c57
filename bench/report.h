#pragma once
#include <benchmark/benchmark.h>

#include <filesystem>

#include "bench/bench.h"

namespace alma::bench {

/// One line per benchmark on standard output: time, GB/s, GFLOP/s, share of the ceiling, other counters. With repetitions
/// also their median.
class TableReporter final : public benchmark::BenchmarkReporter {
 public:
  explicit TableReporter(const Suite& suite) : suite_(suite) {}
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;

 private:
  void row(const Run& run) const;

  const Suite& suite_;
};

/// Makes the file `json` from Google Benchmark's `raw`, which is removed. Adds to the context the device and machine,
/// `threads` and the ceilings at start and end. Google Benchmark's suffix for the clock moves from the names to a key,
/// "clock": "cpu" or "real", so that names are the same on every device; "time_ns" is the time on that clock.
void write_json(const std::filesystem::path& raw, const std::filesystem::path& json, const Suite& suite,
                const Ceilings& at_end);

}  // namespace alma::bench
