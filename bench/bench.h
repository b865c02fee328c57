#pragma once
#include <benchmark/benchmark.h>

#include "engine/context.h"

namespace alma::bench {

/// Registers the benchmarks of one file for a device. The context outlives them.
void register_ops(Context& context);
void register_steps(Context& context);

/// Times `work` until the device has done it, and declares the bytes and FLOPs that its ops report: the columns
/// bytes_per_second and FLOP/s.
template <class Work>
void measure(benchmark::State& state, Context& context, Work&& work) {
  CostScope one(context);
  work();
  const Cost cost = one.cost();
  context.backend().synchronize();
  for (auto _ : state) {
    work();
    context.backend().synchronize();
  }
  const auto runs = static_cast<double>(state.iterations());
  state.SetBytesProcessed(static_cast<std::int64_t>(static_cast<double>(cost.bytes) * runs));
  state.counters["FLOP/s"] = benchmark::Counter(static_cast<double>(cost.flops) * runs, benchmark::Counter::kIsRate);
}

}  // namespace alma::bench
