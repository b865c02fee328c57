#include "bench/ceiling.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <thread>

#include "bench/ceiling_loops.h"
#include "engine/tensor.h"

namespace alma::bench {

namespace {

// Powers of four around the caches of today's processors; the last one is beyond a third-level cache of 32 MiB.
constexpr std::size_t kKiB = 1 << 10, kMiB = 1 << 20;
constexpr std::size_t kSizes[] = {16 * kKiB, 64 * kKiB, 256 * kKiB, kMiB, 4 * kMiB, 16 * kMiB, 64 * kMiB, 128 * kMiB};

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The best rate of several windows, since other load on the machine can only slow a loop down. `work(rounds)` returns the
// amount of work done.
double best_rate(double window, int windows, const std::function<double(std::size_t)>& work) {
  std::size_t rounds = 1;
  for (;;) {  // also warms up
    const auto start = Clock::now();
    work(rounds);
    if (seconds_since(start) >= window || rounds >= std::size_t{1} << 40) break;
    rounds *= 2;
  }
  double best = 0;
  for (int i = 0; i < windows; ++i) {
    const auto start = Clock::now();
    const double done = work(rounds);
    best = std::max(best, done / seconds_since(start));
  }
  return best;
}

// The sum of the rates of all threads, which run at the same time, each on its own work from `make`.
double rate_on(int threads, double window, const std::function<std::function<double(std::size_t)>()>& make) {
  constexpr int windows = 4;
  if (threads == 1) return best_rate(window, windows, make());
  std::barrier ready(threads);
  std::vector<double> rates(static_cast<std::size_t>(threads));
  {
    std::vector<std::jthread> workers;
    for (double& rate : rates)
      workers.emplace_back([&] {
        const auto work = make();
        ready.arrive_and_wait();
        rate = best_rate(window, windows, work);
      });
  }
  double sum = 0;
  for (double rate : rates) sum += rate;
  return sum;
}

struct Aligned {
  void operator()(char* memory) const { ::operator delete[](memory, std::align_val_t{256}); }
};
std::unique_ptr<char[], Aligned> aligned_memory(std::size_t bytes) {
  std::unique_ptr<char[], Aligned> memory(new (std::align_val_t{256}) char[bytes]);
  std::memset(memory.get(), 1, bytes);
  return memory;
}

/// One pass over arrays of `bytes`.
using Pass = std::function<void(char* source, char* target, std::size_t bytes)>;

double cpu_pass(int threads, double window, std::size_t bytes, const Pass& pass) {
  return rate_on(threads, window, [&pass, bytes] {
    std::shared_ptr<char[]> source = aligned_memory(bytes), target = aligned_memory(bytes);
    return [&pass, bytes, source, target](std::size_t rounds) {
      for (std::size_t i = 0; i < rounds; ++i) {
        pass(source.get(), target.get(), bytes);
        // Makes the compiler assume that every pass is observed.
        asm volatile("" : : "r"(target.get()), "r"(source.get()) : "memory");
      }
      return 2.0 * static_cast<double>(bytes) * static_cast<double>(rounds);
    };
  });
}

Ceilings::Memory cpu_memory(int threads, double window, std::size_t working_set, const CeilingLoops& loops) {
  const std::size_t all = working_set / static_cast<std::size_t>(threads) / 512 * 512, half = all / 2;
  const double vectors =
      cpu_pass(threads, window, half, [&](char* from, char* to, std::size_t n) { loops.copy(from, to, n); });
  const double library =
      cpu_pass(threads, window, half, [](char* from, char* to, std::size_t n) { std::memcpy(to, from, n); });
  const double update = cpu_pass(threads, window, all, [&](char*, char* data, std::size_t n) { loops.update(data, n); });
  return {static_cast<double>(working_set), std::max(vectors, library), update};
}

double device_copy(Context& context, double window, std::size_t working_set) {
  Backend& backend = context.backend();
  const std::size_t half = working_set / 2;
  Storage source(context, half), target(context, half);
  return best_rate(window, 4, [&](std::size_t rounds) {
    for (std::size_t i = 0; i < rounds; ++i) backend.copy(source.data(), half, target.data(), half, half, 1);
    backend.synchronize();
    return 2.0 * static_cast<double>(half) * static_cast<double>(rounds);
  });
}

}  // namespace

double Ceilings::bandwidth(double working_set, Traffic traffic) const {
  const auto rate = [&](const Memory& m) { return traffic == Traffic::copy ? m.copy : m.in_place; };
  if (working_set <= memory.front().bytes) return rate(memory.front());
  for (std::size_t i = 1; i < memory.size(); ++i) {
    const Memory &low = memory[i - 1], &high = memory[i];
    if (working_set > high.bytes) continue;
    const double part = std::log(working_set / low.bytes) / std::log(high.bytes / low.bytes);
    return rate(low) + part * (rate(high) - rate(low));
  }
  return rate(memory.back());
}

double Ceilings::floor_seconds(const Cost& cost, double working_set, Traffic traffic) const {
  const double moving = static_cast<double>(cost.bytes) / bandwidth(working_set, traffic);
  return flops == 0 ? moving : std::max(moving, static_cast<double>(cost.flops) / flops);
}

Ceilings measure_ceilings(Context& context, bool quick) {
  const BackendInfo info = context.backend().info();
  const double window = quick ? 0.0002 : 0.003;
  Ceilings ceilings;
  if (info.device == "cpu") {
    const CeilingLoops loops = ceiling_loops(info.level);
    ceilings.flops = rate_on(context.threads(), window, [&] { return loops.multiply_add; });
    for (const std::size_t size : kSizes)
      if (!quick || size <= 16 * kMiB) ceilings.memory.push_back(cpu_memory(context.threads(), window, size, loops));
  } else {
    for (const std::size_t size : kSizes) {
      if (size > 16 * kMiB && (quick || info.device == "cuda-sim")) continue;
      const double rate = device_copy(context, window, size);
      ceilings.memory.push_back({static_cast<double>(size), rate, rate});
    }
    context.allocator().trim();
  }
  return ceilings;
}

namespace {

std::string size_text(double bytes) {
  const auto kib = static_cast<long long>(bytes / kKiB);
  return kib < 1024 ? std::to_string(kib) + " KiB" : std::to_string(kib / 1024) + " MiB";
}

}  // namespace

std::string describe(const Ceilings& ceilings) {
  char text[96];
  std::string all;
  if (ceilings.flops != 0) {
    std::snprintf(text, sizeof text, "%.1f GFLOP/s; ", ceilings.flops / 1e9);
    all += text;
  }
  all += "GB/s copied / in place:";
  for (const Ceilings::Memory& memory : ceilings.memory) {
    std::snprintf(text, sizeof text, "%s %s %.0f / %.0f", &memory == &ceilings.memory.front() ? "" : ",",
                  size_text(memory.bytes).c_str(), memory.copy / 1e9, memory.in_place / 1e9);
    all += text;
  }
  return all;
}

nlohmann::ordered_json to_json(const Ceilings& ceilings) {
  nlohmann::ordered_json json;
  json["flops_per_second"] = ceilings.flops == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(ceilings.flops);
  for (const Ceilings::Memory& memory : ceilings.memory)
    json["memory"].push_back({{"working_set_bytes", memory.bytes},
                              {"copy_bytes_per_second", memory.copy},
                              {"in_place_bytes_per_second", memory.in_place}});
  return json;
}

}  // namespace alma::bench
