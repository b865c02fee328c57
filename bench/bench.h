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

/// What the benchmarks of one run share. Outlives them.
struct Suite {
  Context& context;
  Ceilings ceilings;
  double min_seconds = 0.1;  // of each benchmark, at least
  bool quick = false;        // each benchmark for a moment: shows that it runs
  double flops_limit = 0;    // of one call, at most; what needs more is left out; 0: none
  double bytes_limit = 0;    // likewise
  /// One thread of the processor is timed by its CPU time, in which other processes do not show; a device or several threads
  /// by the clock.
  bool cpu_clock = true;
  std::optional<std::regex> filter;  // of names; none: all
  int registered = 0;
  std::vector<std::string> failures;  // "name: message"
  std::vector<std::string> left_out;  // for a limit
  Counters* counters = nullptr;       // counts what each benchmark's first call does; null: nothing is counted

  bool wants(const std::string& name) const { return !filter || std::regex_search(name, *filter); }
  /// Says so at the start of the run, too.
  bool too_large(const std::string& name, double flops, double bytes = 0) {
    const bool fits = (flops_limit == 0 || flops <= flops_limit) && (bytes_limit == 0 || bytes <= bytes_limit);
    if (fits || !wants(name)) return false;
    left_out.push_back(name);
    return true;
  }
};

/// What is timed: one call.
using Work = std::function<void()>;

/// What `work` cannot say itself.
struct Declared {
  std::optional<Cost> cost;  // where no op reports it
  double working_set = 0;    // bytes; 0: the cost's bytes
  Traffic traffic = Traffic::copy;
};

/// Registers a benchmark: `prepare` makes its tensors when it runs. Declares the bytes and FLOPs of the work and, from them,
/// the share of its ceiling: columns bytes_per_second, FLOP/s and share.
void add(Suite& suite, const std::string& name, std::function<Work()> prepare, const Declared& declared = {});

/// The same clock, time unit and handling of errors for a benchmark that measures itself.
void add_manual(Suite& suite, const std::string& name, std::function<void(benchmark::State&)> run);

/// Seconds on the suite's clock.
double clock_seconds(const Suite& suite);

/// f32 ones, and i32 zeros.
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
