#include "bench/bench.h"

#include <time.h>

namespace alma::bench {

namespace {

// An error ends this benchmark and is reported at the end of the run; the others continue.
void guarded(Suite& suite, const std::string& name, benchmark::State& state, const std::function<void()>& run) {
  try {
    run();
  } catch (const std::exception& error) {
    suite.failures.push_back(name + ": " + error.what());
    state.SkipWithError(error.what());
  }
  suite.context.allocator().trim();  // the next benchmark may be large
}

void measure(benchmark::State& state, Suite& suite, const std::string& name, const Work& work, const Declared& declared) {
  Backend& backend = suite.context.backend();
  CostScope one(suite.context);
  const bool counts = suite.counters != nullptr && suite.counters->begin(name);
  work();
  const Cost cost = declared.cost ? *declared.cost : one.cost();
  backend.synchronize();
  if (counts) suite.counters->end(static_cast<double>(cost.bytes));
  for (auto _ : state) {
    work();
    backend.synchronize();
  }
  const auto bytes = static_cast<double>(cost.bytes);
  const double floor =
      suite.ceilings.floor_seconds(cost, declared.working_set == 0 ? bytes : declared.working_set, declared.traffic);
  constexpr auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["bytes_per_second"] = benchmark::Counter(bytes, rate);
  state.counters["FLOP/s"] = benchmark::Counter(static_cast<double>(cost.flops), rate);
  state.counters["share"] = benchmark::Counter(floor, rate);
}

// Null if the filter excludes it.
benchmark::internal::Benchmark* add_guarded(Suite& suite, const std::string& name,
                                            std::function<void(benchmark::State&)> run) {
  if (!suite.wants(name)) return nullptr;
  ++suite.registered;
  return benchmark::RegisterBenchmark(name.c_str(),
                                      [&suite, name, run = std::move(run)](benchmark::State& state) {
                                        guarded(suite, name, state, [&] { run(state); });
                                      })
      ->Unit(benchmark::kMicrosecond)
      ->MinTime(suite.min_seconds);
}

}  // namespace

void add(Suite& suite, const std::string& name, std::function<Work()> prepare, const Declared& declared) {
  auto* benchmark =
      add_guarded(suite, name, [&suite, name, prepare = std::move(prepare), declared](benchmark::State& state) {
        measure(state, suite, name, prepare(), declared);
      });
  if (benchmark != nullptr && !suite.cpu_clock) benchmark->UseRealTime();
}

void add_manual(Suite& suite, const std::string& name, std::function<void(benchmark::State&)> run) {
  if (auto* benchmark = add_guarded(suite, name, std::move(run))) benchmark->UseManualTime();
}

double clock_seconds(const Suite& suite) {
  timespec now{};
  ::clock_gettime(suite.cpu_clock ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

Tensor ones(Suite& suite, const Shape& shape) { return Tensor::full(suite.context, shape, DType::f32, 1); }
Tensor zero_indices(Suite& suite, std::int64_t count) { return Tensor::zeros(suite.context, {count}, DType::i32); }

}  // namespace alma::bench
