#include "kernels/dropout.h"
#include "kernels/checks/dropout.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace alma {
namespace {

using Words = Vector<std::uint64_t>;  // of one block per lane; the upper half of a lane holds anything

// Blocks of Philox at once. A vector's rounds depend on each other, so that several in turn hide the multiplier's latency.
constexpr int kVectors = kVectorRegisters == 32 ? 4 : 2;
constexpr int kBlocks = kVectors * kLanes<std::uint64_t>;

/// The bits of the blocks from `position` on, in their order: Philox::at() for a vector of blocks per step.
void random_bits(const Philox& philox, std::uint64_t position, std::uint64_t index, std::uint32_t (&words)[4 * kBlocks]) {
  Words c0[kVectors], c1[kVectors], c2[kVectors], c3[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    for (int lane = 0; lane < kLanes<std::uint64_t>; ++lane)
      c0[v][lane] = position + static_cast<std::uint64_t>(v * kLanes<std::uint64_t> + lane);
    c1[v] = c0[v] >> 32;
    c2[v] = Words{} + index;
    c3[v] = c2[v] >> 32;
  }
  const Words first = Words{} + Philox::kMultipliers[0], second = Words{} + Philox::kMultipliers[1];
  std::uint32_t k0 = philox.key[0], k1 = philox.key[1];
  for (int round = 0; round < Philox::kRounds; ++round, k0 += Philox::kKeySteps[0], k1 += Philox::kKeySteps[1]) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const Words p0 = multiply_low_halves(first, c0[v]), p1 = multiply_low_halves(second, c2[v]);
      c0[v] = (p1 >> 32) ^ c1[v] ^ (Words{} + k0);
      c1[v] = p1;
      c2[v] = (p0 >> 32) ^ c3[v] ^ (Words{} + k1);
      c3[v] = p0;
    }
  }
  constexpr std::uint64_t low = 0xffffffff;
  std::uint64_t halves[2][kBlocks];
  for (int v = 0; v < kVectors; ++v) {
    store_vector(halves[0] + v * kLanes<std::uint64_t>, (c0[v] & low) | (c1[v] << 32));
    store_vector(halves[1] + v * kLanes<std::uint64_t>, (c2[v] & low) | (c3[v] << 32));
  }
  for (int block = 0; block < kBlocks; ++block)
    for (int half = 0; half < 2; ++half)
      std::memcpy(words + 4 * block + 2 * half, &halves[half][block], sizeof halves[half][block]);
}

}  // namespace

void CpuBackend::dropout(const In& x, double probability, const RandomPlace& place, const Out& y) {
  const Observed seen = check::dropout(*this, x, probability, place, y);
  for_float("dropout", x.dtype, [&](auto type) {
    using T = decltype(type);
    const Philox philox = Philox::of(place.key);
    const auto step = static_cast<std::uint64_t>(place.state->step);
    const std::uint32_t dropped = dropout_threshold(probability);
    const T scale = static_cast<T>(1 / (1 - probability));
    // Element i is word (shift + i) % 4 of block first_block + (shift + i) / 4.
    const std::int64_t count = x.shape.count(), first_block = place.first / 4, shift = place.first % 4;
    for_pieces(pool_, ceil_divide(shift + count, 4), 4096, 20, [&](std::int64_t begin, std::int64_t end) {
      std::uint32_t words[4 * kBlocks];
      for (std::int64_t block = begin; block < end; block += kBlocks) {
        random_bits(philox, static_cast<std::uint64_t>(first_block + block), step, words);
        const std::int64_t first = 4 * block - shift, last = std::min(count, 4 * std::min(block + kBlocks, end) - shift);
#pragma GCC ivdep
        for (std::int64_t i = std::max<std::int64_t>(first, 0); i < last; ++i) {
          const T kept = x.as<T>()[i] * scale;  // computed in any case, or the loop would not vectorise
          y.as<T>()[i] = words[i - first] >= dropped ? kept : T(0);
        }
      }
    });
  });
}

}  // namespace alma
