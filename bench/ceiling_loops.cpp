// Compiled with -ffp-contract=fast, so that a multiply and an add become one instruction where the level has it, and without
// the pass that would turn the copy into a call of memcpy.
#include "bench/ceiling_loops.h"

#include <benchmark/benchmark.h>

namespace alma::bench {

namespace {

template <int bytes>
struct VectorOf {
  using Type __attribute__((vector_size(bytes), may_alias)) = float;
};

// Enough accumulators to hide the latency of 4 or 5 cycles at two per cycle, few enough for the registers.
template <int vector_bytes, int accumulators>
[[gnu::always_inline]] inline double multiply_add_body(std::size_t rounds) {
  using Vector = typename VectorOf<vector_bytes>::Type;
  constexpr int lanes = vector_bytes / 4;
  float scale = 0.999f, shift = 0.001f;
  benchmark::DoNotOptimize(scale);
  benchmark::DoNotOptimize(shift);
  Vector factor, summand, sums[accumulators];
  for (int i = 0; i < lanes; ++i) {
    factor[i] = scale;
    summand[i] = shift;
  }
  for (int i = 0; i < accumulators; ++i) sums[i] = summand * static_cast<float>(i);
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 32
    for (int i = 0; i < accumulators; ++i) sums[i] = sums[i] * factor + summand;
  }
  for (int i = 0; i < accumulators; ++i) benchmark::DoNotOptimize(sums[i]);
  return 2.0 * lanes * accumulators * static_cast<double>(rounds);
}

template <int vector_bytes>
[[gnu::always_inline]] inline void copy_body(const void* source, void* target, std::size_t bytes) {
  using Vector = typename VectorOf<vector_bytes>::Type;
  const auto* from = static_cast<const Vector*>(source);
  auto* to = static_cast<Vector*>(target);
  constexpr std::size_t step = 256 / vector_bytes;
  for (std::size_t i = 0; i < bytes / vector_bytes; i += step) {
#pragma GCC unroll 16
    for (std::size_t k = 0; k < step; ++k) to[i + k] = from[i + k];
  }
}

template <int vector_bytes>
[[gnu::always_inline]] inline void update_body(void* data, std::size_t bytes) {
  using Vector = typename VectorOf<vector_bytes>::Type;
  auto* x = static_cast<Vector*>(data);
  float one = 1;
  benchmark::DoNotOptimize(one);
  constexpr std::size_t step = 256 / vector_bytes;
  for (std::size_t i = 0; i < bytes / vector_bytes; i += step) {
#pragma GCC unroll 16
    for (std::size_t k = 0; k < step; ++k) x[i + k] = x[i + k] * one;
  }
}

// The three loops of a level, in vectors of so many bytes.
#define ALMA_CEILING_LOOPS(level, target, vector_bytes, accumulators)                                                       \
  target double multiply_add_##level(std::size_t rounds) { return multiply_add_body<vector_bytes, accumulators>(rounds); }  \
  target void copy_##level(const void* source, void* to, std::size_t bytes) { copy_body<vector_bytes>(source, to, bytes); } \
  target void update_##level(void* data, std::size_t bytes) { update_body<vector_bytes>(data, bytes); }

ALMA_CEILING_LOOPS(generic, , 16, 12)
#if defined(__x86_64__)
ALMA_CEILING_LOOPS(v3, [[gnu::target("avx2,fma")]], 32, 12)
ALMA_CEILING_LOOPS(v4, [[gnu::target("avx512f,fma")]], 64, 20)
#endif

}  // namespace

CeilingLoops ceiling_loops(const std::string& level) {
#if defined(__x86_64__)
  if (level == "x86-64-v4") return {multiply_add_v4, copy_v4, update_v4};
  if (level == "x86-64-v3") return {multiply_add_v3, copy_v3, update_v3};
#endif
  (void)level;
  return {multiply_add_generic, copy_generic, update_generic};
}

}  // namespace alma::bench
