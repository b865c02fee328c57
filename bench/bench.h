#pragma once
#include <benchmark/benchmark.h>

#include <functional>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "bench/ceiling.h"
#include "bench/counters.h"
#include "engine/tensor.h"

namespace alma::bench {

/// The settings and results that the benchmarks of one run share. It outlives them.
struct Suite {
  Context& context;
  Ceilings ceilings;
  double min_seconds = 0.1;  // least time of a benchmark
  bool quick = false;        // run each benchmark only briefly, to see that it runs
  double flops_limit = 0;    // benchmarks with more FLOPs per call are left out; 0: no limit
  double bytes_limit = 0;    // likewise for bytes
  /// Whether benchmarks are timed by CPU time, which other processes do not affect: on one thread of the processor. A device
  /// or several threads are timed by the clock.
  bool cpu_clock = true;
  std::optional<std::regex> filter;  // for names; none: all benchmarks
  int registered = 0;
  std::vector<std::string> failures;  // "name: message"
  std::vector<std::string> left_out;  // because of a limit
  Counters* counters = nullptr;       // counts the accesses of each benchmark's first call; null: nothing is counted

  bool wants(const std::string& name) const { return !filter || std::regex_search(name, *filter); }
  /// Also prints this at the start of the run.
  bool too_large(const std::string& name, double flops, double bytes = 0) {
    const bool fits = (flops_limit == 0 || flops <= flops_limit) && (bytes_limit == 0 || bytes <= bytes_limit);
    if (fits || !wants(name)) return false;
    left_out.push_back(name);
    return true;
  }
};

/// The timed work: one call.
using Work = std::function<void()>;

/// Properties of the work that `work` itself does not report.
struct Declared {
  std::optional<Cost> cost;  // if no op reports it
  double working_set = 0;    // in bytes; 0: the cost's bytes
  Traffic traffic = Traffic::copy;
};

/// Registers a benchmark: `prepare` makes its tensors when it runs. Declares the bytes and FLOPs of the work and, from them,
/// the share of its ceiling: columns bytes_per_second, FLOP/s and share.
void add(Suite& suite, const std::string& name, std::function<Work()> prepare, const Declared& declared = {});

/// Registers a benchmark that measures itself, with the same clock, time unit and handling of errors.
void add_manual(Suite& suite, const std::string& name, std::function<void(benchmark::State&)> run);

/// The time on the suite's clock, in seconds.
double clock_seconds(const Suite& suite);

/// Tensors of f32 ones and of i32 zeros.
Tensor ones(Suite& suite, const Shape& shape);
Tensor zero_indices(Suite& suite, std::int64_t count);

void register_ops(Suite& suite);
void register_memory(Suite& suite);
void register_optimizers(Suite& suite);
void register_tape(Suite& suite);
void register_gemm(Suite& suite);
void register_steps(Suite& suite);
void register_kernels(Suite& suite);

}  // namespace alma::bench
