// The fused cross-entropy: loss, hits and gradient in one pass over the logits.
#include "kernels/cuda/launch.h"

#include <algorithm>

#include "kernels/checks/softmax.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/rows.h"

namespace alma {
namespace {

// One block sees all rows of a usual mini-batch, at 4 lanes to a row 128 of them at once.
constexpr int kLossBlock = 512;
constexpr std::int64_t kSingleBlockElements = 32768;
constexpr std::int64_t kMaxLossBlocks = kLossBlock;

struct CrossEntropy {
  const float* logits;
  const std::int32_t* labels;
  float* grad;  // or null
  float scale;
  std::int64_t rows, classes;

  __device__ bool known(int label) const { return label >= 0 && label < classes; }
  __device__ bool wrong(int label) const { return !known(label) && label != kNoLabel; }
};

/// What the rows seen so far add up to.
struct Tally {
  float loss = 0;
  int hits = 0;
};

// The lane that holds the label's logit adds its row's loss, so nobody has to ask for it; lane 0 speaks for a wrong label,
// and nobody for none. max: of the row.
__device__ void tally_label(Tally& tally, float logit, float max, float sum) { tally.loss += logf(sum) - (logit - max); }

// Of a row of which `row` holds the exponentials, `sum` their sum; called by its team.
template <int lanes, int items>
__device__ void store_gradient(const CrossEntropy& x, std::int64_t r, Row<lanes, items>& row, float sum, int label) {
  const float scale = x.known(label) ? x.scale / sum : NAN;
  row.each([&](int i, int c) {
    const float g = fmaf(row.value[i], scale, c == label ? -x.scale : 0.0f);
    store<float>(x.grad + r * x.classes + c, label == kNoLabel ? 0.0f : g);
  });
}

// Team by team over the rows; every team of the block goes round equally often, because all lanes take part in shuffles.
template <int lanes, int items>
__device__ Tally cross_entropy_rows(const CrossEntropy& x) {
  constexpr int teams = kLossBlock / lanes;
  Tally tally;
  for (std::int64_t first = std::int64_t{blockIdx.x} * teams; first < x.rows; first += std::int64_t{gridDim.x} * teams) {
    const std::int64_t r = first + threadIdx.x / lanes;
    const bool present = r < x.rows;
    const int label = present ? load<std::int32_t>(x.labels + r) : 0;
    Row<lanes, items> row(x.logits + r * x.classes, x.classes, present);
    const float max = row.max();
    // The label is the argmax if its logit is the maximum and no lower index has the maximum too.
    float logit = 0;
    bool holds_label = false, label_is_max = false, lower_is_max = false;
    row.each([&](int i, int c) {
      if (c == label) {
        holds_label = true;
        logit = row.value[i];
        label_is_max = logit == max;
      }
      lower_is_max = lower_is_max || (c < label && row.value[i] == max);
    });
    const unsigned ballot = __ballot_sync(kAllLanes, lower_is_max);
    const unsigned team = (lanes == kWarp ? kAllLanes : (1u << lanes % kWarp) - 1) << (threadIdx.x % kWarp / lanes * lanes);
    if (label_is_max && (ballot & team) == 0) ++tally.hits;
    const float sum = row.exponentials(max);
    if (holds_label) tally_label(tally, logit, max, sum);
    if (present && x.wrong(label) && row.lane == 0) tally.loss = NAN;
    if (x.grad != nullptr) store_gradient(x, r, row, sum, label);
  }
  return tally;
}

// The same for a row that a whole block holds in registers.
template <int items>
__device__ Tally cross_entropy_block_rows(const CrossEntropy& x) {
  Tally tally;
  for (std::int64_t r = blockIdx.x; r < x.rows; r += gridDim.x) {
    const int label = load<std::int32_t>(x.labels + r);
    const bool known = x.known(label);
    Row<kLossBlock, items> row(x.logits + r * x.classes, x.classes, true);
    Best best = no_best();
    float logit = 0;
    row.each([&](int i, int c) {
      best = Better{}(best, Best{row.value[i], c});
      if (c == label) logit = row.value[i];
    });
    best = team_reduce<kLossBlock>(best, Better{});
    const float max = row.max(), sum = row.exponentials(max);
    if (known && label % kLossBlock == row.lane) {
      tally_label(tally, logit, max, sum);
      if (best.index == label) ++tally.hits;
    }
    if (x.wrong(label) && row.lane == 0) tally.loss = NAN;
    if (x.grad != nullptr) store_gradient(x, r, row, sum, label);
  }
  return tally;
}

// And for a row that does not fit.
__device__ Tally cross_entropy_long_rows(const CrossEntropy& x) {
  Tally tally;
  for (std::int64_t r = blockIdx.x; r < x.rows; r += gridDim.x) {
    const float* row = x.logits + r * x.classes;
    const int label = load<std::int32_t>(x.labels + r);
    const bool known = x.known(label);
    Best best = no_best();
    Exponentials all = no_elements();
    for (std::int64_t c = threadIdx.x; c < x.classes; c += kLossBlock) {
      const float logit = load<float>(row + c);
      best = Better{}(best, Best{logit, static_cast<int>(c)});
      all = Merge{}(all, Exponentials{logit, 1});
    }
    best = team_reduce<kLossBlock>(best, Better{});
    all = team_reduce<kLossBlock>(all, Merge{});
    if (threadIdx.x == 0) {
      if (known) {
        tally_label(tally, load<float>(row + label), all.max, all.sum);
      } else if (x.wrong(label)) {
        tally.loss = NAN;
      }
      if (known && best.index == label) ++tally.hits;
    }
    if (x.grad == nullptr) continue;
    __syncthreads();  // grad may be logits: thread 0 has read the label's before anybody writes
    const float scale = x.scale / all.sum;
    for (std::int64_t c = threadIdx.x; c < x.classes; c += kLossBlock) {
      const float g = fmaf(expf(load<float>(row + c) - all.max), scale, c == label ? -x.scale : 0.0f);
      store<float>(x.grad + r * x.classes + c, known ? g : label == kNoLabel ? 0.0f : NAN);
    }
  }
  return tally;
}

// loss[block] and hits[block] of the block's rows; with a single block these are the results.
template <int lanes, int items>
__global__ void __launch_bounds__(kLossBlock, 1) cross_entropy_kernel(CrossEntropy x, float* loss, std::int32_t* hits) {
  Tally tally;
  if constexpr (lanes <= kWarp) {
    tally = cross_entropy_rows<lanes, items>(x);
  } else if constexpr (items > 0) {
    tally = cross_entropy_block_rows<items>(x);
  } else {
    tally = cross_entropy_long_rows(x);
  }
  const float total = team_reduce<kLossBlock>(tally.loss, Sum{});
  const int total_hits = team_reduce<kLossBlock>(tally.hits, Sum{});
  if (threadIdx.x > 0) return;
  store<float>(loss + blockIdx.x, gridDim.x == 1 ? total * x.scale : total);
  if (hits != nullptr) store<std::int32_t>(hits + blockIdx.x, total_hits);
}

// Adds up what up to kMaxLossBlocks blocks have left, in a fixed order.
__global__ void __launch_bounds__(kLossBlock) add_losses_kernel(const float* partial_loss, const std::int32_t* partial_hits,
                                                                int blocks, float scale, float* loss, std::int32_t* hits) {
  const int i = threadIdx.x;
  const float total = team_reduce<kLossBlock>(i < blocks ? load<float>(partial_loss + i) : 0.0f, Sum{});
  const int total_hits = team_reduce<kLossBlock>(i < blocks ? load<std::int32_t>(partial_hits + i) : 0, Sum{});
  if (i > 0) return;
  store<float>(loss, total * scale);
  if (hits != nullptr) store<std::int32_t>(hits, total_hits);
}

}  // namespace

void CudaBackend::softmax_cross_entropy(const In& logits, const In& labels, double scale, const Out& grad, const Out& loss,
                                        const Out& hits) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::softmax_cross_entropy(*this, logits, labels, grad, loss, hits);
  require_f32("softmax_cross_entropy", logits);
  const std::int64_t rows = logits.shape[0], classes = logits.shape[1];
  if (rows == 0) {
    fill(loss, 0);
    if (hits) fill(hits, 0);
    return;
  }
  const CrossEntropy x{
      logits.as<float>(), labels.as<std::int32_t>(), grad.as<float>(), static_cast<float>(scale), rows, classes};
  with_cut<kLossBlock>(classes, [&](auto cut) {
    using C = decltype(cut);
    const auto kernel = cross_entropy_kernel<C::lanes, C::items>;
    const std::int64_t blocks = std::min(blocks_for(rows, kLossBlock / C::lanes), kMaxLossBlocks);
    if (blocks == 1 || rows * classes <= kSingleBlockElements) {
      launch(kernel, 1, kLossBlock, 0, stream_, x, loss.as<float>(), hits.as<std::int32_t>());
      return;
    }
    float* partial_loss = scratch(2 * blocks);
    auto* partial_hits = reinterpret_cast<std::int32_t*>(partial_loss + blocks);
    launch(kernel, blocks, kLossBlock, 0, stream_, x, partial_loss, partial_hits);
    launch(add_losses_kernel, 1, kLossBlock, 0, stream_, partial_loss, partial_hits, static_cast<int>(blocks), x.scale,
           loss.as<float>(), hits.as<std::int32_t>());
  });
}

}  // namespace alma
