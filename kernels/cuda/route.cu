// Top-1 routing. Tokens are cut into pieces of 128, a block each, which finds probabilities, choices and the piece's own
// statistics in one pass over the logits; a scan over the pieces then gives every token its place in batch order.
#include "kernels/cuda/launch.h"

#include <algorithm>

#include "kernels/checks/routing.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/rows.h"

namespace alma {
namespace {

constexpr int kBlock = 256, kTokens = 128;  // of a piece
constexpr int kScanBlock = 512;

struct Router {
  const float* logits;
  float* probabilities;
  std::int32_t* expert;
  float* gate;
  std::int32_t* position;
  std::int32_t* slots;
  std::int32_t* counts;
  float* importance;
  float* balance;
  std::int64_t tokens;
  int experts;
  std::int64_t capacity;
  int pieces;
  // Scratch, [experts, pieces] each: how many tokens of the piece chose the expert (then: of all pieces before), and the
  // sum of its probabilities.
  std::int32_t* piece_counts;
  float* piece_sums;
};

/// Rows of partial sums, one per team: far enough apart for the teams of a warp to write to different banks.
template <int lanes, int items>
inline constexpr int kSumStride = lanes* items + (lanes < kWarp ? 32 - lanes * items % 32 + lanes : 0);

// Softmax, choice and gate of this team's tokens of the piece; adds their probabilities to `sums`.
template <int lanes, int items>
__device__ void route_rows(const Router& x, std::int64_t first, int* chosen, float (&sums)[items]) {
  constexpr int teams = teams_in<kBlock, lanes>;
  for (int token = threadIdx.x / lanes; token < (kTokens + teams - 1) / teams * teams; token += teams) {
    const std::int64_t t = first + token;
    const bool present = token < kTokens && t < x.tokens;
    Row<lanes, items> row(x.logits + t * x.experts, x.experts, present);
    Best best = no_best();
    row.each([&](int i, int c) { best = Better{}(best, Best{row.value[i], c}); });
    best = team_reduce<lanes>(best, Better{});
    const int expert = best.index < x.experts ? best.index : 0;  // all NaN: the first
    const float scale = 1 / row.exponentials(row.max());
    row.each([&](int i, int c) {
      const float p = row.value[i] * scale;
      store<float>(x.probabilities + t * x.experts + c, p);
      sums[i] += p;
      if (c == expert) store<float>(x.gate + t, p);
    });
    if (token < kTokens && row.lane == 0) {
      store<int>(&chosen[token], present ? expert : -1);
      if (present) store<std::int32_t>(x.expert + t, expert);
    }
  }
}

template <int lanes, int items>
__global__ void __launch_bounds__(kBlock) route_kernel(Router x) {
  constexpr int teams = teams_in<kBlock, lanes>, stride = kSumStride<lanes, items>;
  ALMA_SHARED(int, chosen, [kTokens]);
  ALMA_SHARED(float, partial, [teams * stride]);
  const std::int64_t first = std::int64_t{blockIdx.x} * kTokens;
  float sums[items] = {};
  route_rows<lanes, items>(x, first, chosen, sums);
  ALMA_UNROLL
  for (int i = 0; i < items; ++i)
    store<float>(
        &partial[static_cast<int>(threadIdx.x) / lanes * stride + i * lanes + static_cast<int>(threadIdx.x) % lanes],
        sums[i]);
  __syncthreads();
  // How many earlier tokens of the piece chose the same expert. All threads read the same word at a time: a broadcast.
  if (const int token = threadIdx.x; token < kTokens && first + token < x.tokens) {
    const int expert = load<int>(&chosen[token]);
    int before = 0;
    for (int i = 0; i < token; ++i) before += load<int>(&chosen[i]) == expert ? 1 : 0;
    store<std::int32_t>(x.position + first + token, before);
  }
  for (int e = threadIdx.x; e < x.experts; e += kBlock) {
    int count = 0;
    for (int i = 0; i < kTokens; ++i) count += load<int>(&chosen[i]) == e ? 1 : 0;
    float sum = 0;
    for (int team = 0; team < teams; ++team) sum += load<float>(&partial[team * stride + e]);
    store<std::int32_t>(x.piece_counts + std::int64_t{e} * x.pieces + blockIdx.x, count);
    store<float>(x.piece_sums + std::int64_t{e} * x.pieces + blockIdx.x, sum);
  }
}

// One block; a warp takes an expert at a time, its lanes the pieces.
__global__ void __launch_bounds__(kScanBlock) route_scan_kernel(Router x) {
  const int lane = threadIdx.x % kWarp;
  const float per_token = x.tokens == 0 ? 0.0f : 1.0f / static_cast<float>(x.tokens);
  float balance = 0;
  for (int e = threadIdx.x / kWarp; e < x.experts; e += kScanBlock / kWarp) {
    int before = 0;
    float sum = 0;
    for (int first = 0; first < x.pieces; first += kWarp) {
      const int piece = first + lane;
      const std::int64_t at = std::int64_t{e} * x.pieces + piece;
      const int count = piece < x.pieces ? load<std::int32_t>(x.piece_counts + at) : 0;
      if (piece < x.pieces) sum += load<float>(x.piece_sums + at);
      int upto = count;  // of this chunk's pieces up to this one
      ALMA_UNROLL
      for (int distance = 1; distance < kWarp; distance *= 2) {
        const int earlier = __shfl_up_sync(kAllLanes, upto, static_cast<unsigned>(distance));
        if (lane >= distance) upto += earlier;
      }
      if (piece < x.pieces) store<std::int32_t>(x.piece_counts + at, before + upto - count);
      before += __shfl_sync(kAllLanes, upto, kWarp - 1);
    }
    const float importance = warp_reduce<kWarp>(sum, Sum{}) * per_token;
    if (lane == 0) {
      store<std::int32_t>(x.counts + e, before);
      store<float>(x.importance + e, importance);
      balance = fmaf(static_cast<float>(before) * per_token, importance, balance);
    }
  }
  balance = team_reduce<kScanBlock>(balance, Sum{});
  if (threadIdx.x == 0) store<float>(x.balance, balance * static_cast<float>(x.experts));
}

// Thread i has token i, and slot i where that is empty.
__global__ void __launch_bounds__(kBlock) route_slots_kernel(Router x) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (i < x.tokens) {
    const std::int64_t expert = load<std::int32_t>(x.expert + i);
    const int place =
        load<std::int32_t>(x.position + i) + load<std::int32_t>(x.piece_counts + expert * x.pieces + i / kTokens);
    const bool fits = place < x.capacity;
    store<std::int32_t>(x.position + i, fits ? place : -1);
    if (fits) store<std::int32_t>(x.slots + expert * x.capacity + place, static_cast<std::int32_t>(i));
  }
  if (i < x.experts * x.capacity && i % x.capacity >= load<std::int32_t>(x.counts + i / x.capacity))
    store<std::int32_t>(x.slots + i, -1);
}

struct RouterBackward {
  const float* probabilities;
  const std::int32_t* expert;
  const std::int32_t* counts;
  const float* dgate;     // or null
  const float* dbalance;  // or null
  float* dlogits;
  std::int64_t tokens;
  int experts;
};

template <int lanes, int items>
__global__ void __launch_bounds__(kBlock) route_backward_kernel(RouterBackward x) {
  const std::int64_t t = std::int64_t{blockIdx.x} * teams_in<kBlock, lanes> + threadIdx.x / lanes;
  const bool present = t < x.tokens;
  Row<lanes, items> row(x.probabilities + t * x.experts, x.experts, present);
  const float tokens = static_cast<float>(x.tokens);
  const float factor = x.dbalance == nullptr ? 0.0f : load<float>(x.dbalance) * static_cast<float>(x.experts) / tokens;
  const int expert = present ? load<std::int32_t>(x.expert + t) : 0;
  const float dgate = present && x.dgate != nullptr ? load<float>(x.dgate + t) : 0.0f;
  float gradient[items] = {};  // of the probabilities
  float dot = 0;
  row.each([&](int i, int c) {
    gradient[i] = factor * (static_cast<float>(load<std::int32_t>(x.counts + c)) / tokens) + (c == expert ? dgate : 0.0f);
    dot = fmaf(row.value[i], gradient[i], dot);
  });
  dot = team_reduce<lanes>(dot, Sum{});
  row.each([&](int i, int c) { store<float>(x.dlogits + t * x.experts + c, row.value[i] * (gradient[i] - dot)); });
}

// At most 1,024 experts: every row fits a warp.
template <class F>
void with_warp_cut(std::int64_t experts, F f) {
  with_cut<kBlock>(experts, [&](auto cut) {
    if constexpr (decltype(cut)::lanes <= kWarp) f(cut);
  });
}

}  // namespace

void CudaBackend::route_top1(const In& logits, const Routes& routes) {
  const Entry entry(gpu_, __func__);
  const auto seen = check::route_top1(*this, logits, routes);
  const check::RouteSizes& size = seen.sizes;
  require_f32("route_top1", logits);
  const std::int64_t pieces = blocks_for(size.tokens, kTokens);
  Router x{};
  x.logits = logits.as<float>();
  x.probabilities = routes.probabilities.as<float>();
  x.expert = routes.expert.as<std::int32_t>();
  x.gate = routes.gate.as<float>();
  x.position = routes.position.as<std::int32_t>();
  x.slots = routes.slots.as<std::int32_t>();
  x.counts = routes.counts.as<std::int32_t>();
  x.importance = routes.importance.as<float>();
  x.balance = routes.balance.as<float>();
  x.tokens = size.tokens;
  x.experts = static_cast<int>(size.experts);
  x.capacity = size.capacity;
  x.pieces = static_cast<int>(pieces);
  x.piece_sums = scratch(2 * pieces * size.experts);
  x.piece_counts = reinterpret_cast<std::int32_t*>(x.piece_sums + pieces * size.experts);
  if (pieces > 0) {
    with_warp_cut(size.experts, [&](auto cut) {
      using C = decltype(cut);
      launch(route_kernel<C::lanes, C::items>, pieces, kBlock, 0, stream_, x);
    });
  }
  launch(route_scan_kernel, 1, kScanBlock, 0, stream_, x);
  const std::int64_t threads = std::max(size.tokens, size.experts * size.capacity);
  if (threads > 0) launch(route_slots_kernel, blocks_for(threads, kBlock), kBlock, 0, stream_, x);
}

void CudaBackend::route_top1_backward(const In& probabilities, const In& expert, const In& counts, const In& dgate,
                                      const In& dbalance, const Out& dlogits) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::route_top1_backward(*this, probabilities, expert, counts, dgate, dbalance, dlogits);
  require_f32("route_top1_backward", probabilities);
  const std::int64_t tokens = probabilities.shape[0], experts = probabilities.shape[1];
  if (tokens == 0) return;
  const RouterBackward x{probabilities.as<float>(),
                         expert.as<std::int32_t>(),
                         counts.as<std::int32_t>(),
                         dgate.as<float>(),
                         dbalance.as<float>(),
                         dlogits.as<float>(),
                         tokens,
                         static_cast<int>(experts)};
  with_warp_cut(experts, [&](auto cut) {
    using C = decltype(cut);
    launch(route_backward_kernel<C::lanes, C::items>, blocks_for(tokens, teams_in<kBlock, C::lanes>), kBlock, 0, stream_, x);
  });
}

}  // namespace alma
