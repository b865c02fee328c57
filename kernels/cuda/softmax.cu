// Softmax, its backward, and the fused cross-entropy. A row is worked on by a team of threads that keeps it in registers, so
// that it is read once: 4 lanes for up to 16 classes (a warp would leave two thirds of its lanes idle at 10 classes, and
// shuffle five times instead of two), 8 lanes for up to 32, a warp up to 1,024. Longer rows belong to a block, which reads
// them a second time.
#include "kernels/cuda/launch.h"

#include <algorithm>

#include "kernels/checks.h"
#include "kernels/cuda/backend.h"
#include "kernels/cuda/reductions.h"

namespace alma {
namespace {

constexpr int kBlock = 256;
// One block sees all rows of a usual mini-batch, at 4 lanes to a row 128 of them at once.
constexpr int kLossBlock = 512;
constexpr std::int64_t kSingleBlockElements = 32768;
constexpr std::int64_t kMaxLossBlocks = kLossBlock;

constexpr std::int64_t kMaxClassesInRegisters = 1024;

/// A row of up to lanes * items elements, in the registers of its team; -infinity beyond its end.
template <int lanes, int items>
struct Row {
  float value[items];
  int lane;
  int n;

  /// `present`: false for a team without a row, which still takes part in the reductions.
  __device__ Row(const float* row, std::int64_t size, bool present)
      : lane(threadIdx.x % lanes), n(present ? static_cast<int>(size) : 0) {
    ALMA_UNROLL
    for (int i = 0; i < items; ++i) value[i] = lane + i * lanes < n ? load<float>(row + lane + i * lanes) : -INFINITY;
  }
  /// f(i, c): item i of this lane is element c of the row.
  template <class F>
  __device__ __forceinline__ void each(F f) {
    ALMA_UNROLL
    for (int i = 0; i < items; ++i)
      if (lane + i * lanes < n) f(i, lane + i * lanes);
  }
  __device__ float max() {
    float result = -INFINITY;
    ALMA_UNROLL
    for (int i = 0; i < items; ++i) result = fmaxf(result, value[i]);
    return team_reduce<lanes>(result, Max{});
  }
  /// Replaces the values by exp(value - max) and returns their sum.
  __device__ float exponentials(float max) {
    float sum = 0;
    each([&](int i, int) {
      value[i] = expf(value[i] - max);
      sum += value[i];
    });
    return team_reduce<lanes>(sum, Sum{});
  }
};

/// Maximum of some elements and the sum of exp(element - maximum): enough to merge them with others.
struct Exponentials {
  float max, sum;
};
struct Merge {
  __device__ Exponentials operator()(Exponentials a, Exponentials b) const {
    if (a.max == b.max) return {a.max, a.sum + b.sum};  // also both -infinity, whose difference would be NaN
    const float max = fmaxf(a.max, b.max);
    return {max, fmaf(a.sum, expf(a.max - max), b.sum * expf(b.max - max))};
  }
};
__device__ __forceinline__ Exponentials no_elements() { return {-INFINITY, 0}; }
__device__ __forceinline__ Exponentials from_partner(Exponentials e, int distance) {
  return {alma::from_partner(e.max, distance), alma::from_partner(e.sum, distance)};
}

// The same for a row that does not fit into registers; called by the whole block.
template <int threads>
__device__ Exponentials exponentials_of(const float* row, std::int64_t n) {
  Exponentials all = no_elements();
  for (std::int64_t c = threadIdx.x; c < n; c += threads) all = Merge{}(all, Exponentials{load<float>(row + c), 1});
  return team_reduce<threads>(all, Merge{});
}

template <int lanes, int items>
__global__ void __launch_bounds__(kBlock) softmax_kernel(const float* x, float* y, std::int64_t rows, std::int64_t n) {
  const std::int64_t r = std::int64_t{blockIdx.x} * (kBlock / lanes) + threadIdx.x / lanes;
  Row<lanes, items> row(x + r * n, n, r < rows);
  const float max = row.max(), scale = 1 / row.exponentials(max);
  row.each([&](int i, int c) { store<float>(y + r * n + c, row.value[i] * scale); });
}

__global__ void __launch_bounds__(kBlock) softmax_long_kernel(const float* x, float* y, std::int64_t n) {
  const std::int64_t first = std::int64_t{blockIdx.x} * n;
  const Exponentials all = exponentials_of<kBlock>(x + first, n);
  const float scale = 1 / all.sum;
  for (std::int64_t c = threadIdx.x; c < n; c += kBlock)
    store<float>(y + first + c, expf(load<float>(x + first + c) - all.max) * scale);
}

template <int lanes, int items>
__global__ void __launch_bounds__(kBlock)
    softmax_backward_kernel(const float* y, const float* dy, float* dx, std::int64_t rows, std::int64_t n) {
  const std::int64_t r = std::int64_t{blockIdx.x} * (kBlock / lanes) + threadIdx.x / lanes;
  Row<lanes, items> probability(y + r * n, n, r < rows), cotangent(dy + r * n, n, r < rows);
  float dot = 0;
  probability.each([&](int i, int) { dot = fmaf(probability.value[i], cotangent.value[i], dot); });
  dot = team_reduce<lanes>(dot, Sum{});
  probability.each([&](int i, int c) { store<float>(dx + r * n + c, probability.value[i] * (cotangent.value[i] - dot)); });
}

__global__ void __launch_bounds__(kBlock)
    softmax_backward_long_kernel(const float* y, const float* dy, float* dx, std::int64_t n) {
  const std::int64_t first = std::int64_t{blockIdx.x} * n;
  float dot = 0;
  for (std::int64_t c = threadIdx.x; c < n; c += kBlock)
    dot = fmaf(load<float>(y + first + c), load<float>(dy + first + c), dot);
  dot = team_reduce<kBlock>(dot, Sum{});
  for (std::int64_t c = threadIdx.x; c < n; c += kBlock)
    store<float>(dx + first + c, load<float>(y + first + c) * (load<float>(dy + first + c) - dot));
}

struct CrossEntropy {
  const float* logits;
  const std::int32_t* labels;
  float* grad;  // or null
  float scale;
  std::int64_t rows, classes;
};

/// What the rows seen so far add up to.
struct Tally {
  float loss = 0;
  int hits = 0;
};

// The lane that holds the label's logit adds its row's loss, so nobody has to ask for it; lane 0 speaks for a label that no
// lane holds. max: of the row.
__device__ void tally_label(Tally& tally, float logit, float max, float sum) { tally.loss += logf(sum) - (logit - max); }

// Team by team over the rows; every team of the block goes round equally often, because all lanes take part in shuffles.
template <int lanes, int items>
__device__ Tally cross_entropy_rows(const CrossEntropy& x) {
  constexpr int teams = kLossBlock / lanes;
  Tally tally;
  for (std::int64_t first = std::int64_t{blockIdx.x} * teams; first < x.rows; first += std::int64_t{gridDim.x} * teams) {
    const std::int64_t r = first + threadIdx.x / lanes;
    const bool present = r < x.rows;
    const int label = present ? load<std::int32_t>(x.labels + r) : 0;
    const bool known = label >= 0 && label < x.classes;
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
    if (present && !known && row.lane == 0) tally.loss = NAN;
    if (x.grad == nullptr) continue;
    const float scale = x.scale / sum;
    row.each([&](int i, int c) {
      const float g = fmaf(row.value[i], scale, c == label ? -x.scale : 0.0f);
      store<float>(x.grad + r * x.classes + c, known ? g : NAN);
    });
  }
  return tally;
}

// The same for a row that a whole block works on.
__device__ Tally cross_entropy_long_rows(const CrossEntropy& x) {
  Tally tally;
  for (std::int64_t r = blockIdx.x; r < x.rows; r += gridDim.x) {
    const float* row = x.logits + r * x.classes;
    const int label = load<std::int32_t>(x.labels + r);
    const bool known = label >= 0 && label < x.classes;
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
      } else {
        tally.loss = NAN;
      }
      if (known && best.index == label) ++tally.hits;
    }
    if (x.grad == nullptr) continue;
    __syncthreads();  // grad may be logits: thread 0 has read the label's before anybody writes
    const float scale = x.scale / all.sum;
    for (std::int64_t c = threadIdx.x; c < x.classes; c += kLossBlock) {
      const float g = fmaf(expf(load<float>(row + c) - all.max), scale, c == label ? -x.scale : 0.0f);
      store<float>(x.grad + r * x.classes + c, known ? g : NAN);
    }
  }
  return tally;
}

// loss[block] and hits[block] of the block's rows; with a single block these are the results.
template <int lanes, int items>
__global__ void __launch_bounds__(kLossBlock) cross_entropy_kernel(CrossEntropy x, float* loss, std::int32_t* hits) {
  Tally tally;
  if constexpr (lanes <= kWarp) {
    tally = cross_entropy_rows<lanes, items>(x);
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

/// The cut of a row: lanes of its team and elements per lane. 0 elements: it does not fit.
template <int lanes_, int items_>
struct Cut {
  static constexpr int lanes = lanes_, items = items_;
};

// Calls f with the smallest cut that holds n elements in registers; else with a block of `block` threads.
template <int block, class F>
void with_cut(std::int64_t n, F f) {
  if (n <= 16) return f(Cut<4, 4>{});
  if (n <= 32) return f(Cut<8, 4>{});
  if (n <= 4 * kWarp) return f(Cut<kWarp, 4>{});
  if (n <= kMaxClassesInRegisters) return f(Cut<kWarp, kMaxClassesInRegisters / kWarp>{});
  f(Cut<block, 0>{});
}

}  // namespace

void CudaBackend::softmax(const In& x, const Out& y) {
  check::like("softmax", x, y);
  check::softmax("softmax", x);
  require_f32("softmax", x);
  const std::int64_t rows = x.shape.rows(), n = x.shape.last();
  if (rows == 0) return;
  with_cut<kBlock>(n, [&](auto cut) {
    using C = decltype(cut);
    if constexpr (C::items == 0) {
      launch(softmax_long_kernel, rows, C::lanes, 0, stream_, x.as<float>(), y.as<float>(), n);
    } else {
      launch(softmax_kernel<C::lanes, C::items>, blocks_for(rows, kBlock / C::lanes), kBlock, 0, stream_, x.as<float>(),
             y.as<float>(), rows, n);
    }
  });
}

void CudaBackend::softmax_backward(const In& y, const In& dy, const Out& dx) {
  check::softmax("softmax_backward", y);
  check::array("softmax_backward", "y", y, y.dtype, y.shape);
  check::array("softmax_backward", "dy", dy, y.dtype, y.shape);
  check::array("softmax_backward", "dx", dx, y.dtype, y.shape);
  require_f32("softmax_backward", y);
  const std::int64_t rows = y.shape.rows(), n = y.shape.last();
  if (rows == 0) return;
  with_cut<kBlock>(n, [&](auto cut) {
    using C = decltype(cut);
    if constexpr (C::items == 0) {
      launch(softmax_backward_long_kernel, rows, C::lanes, 0, stream_, y.as<float>(), dy.as<float>(), dx.as<float>(), n);
    } else {
      launch(softmax_backward_kernel<C::lanes, C::items>, blocks_for(rows, kBlock / C::lanes), kBlock, 0, stream_,
             y.as<float>(), dy.as<float>(), dx.as<float>(), rows, n);
    }
  });
}

void CudaBackend::softmax_cross_entropy(const In& logits, const In& labels, double scale, const Out& grad, const Out& loss,
                                        const Out& hits) {
  check::softmax_cross_entropy(logits, labels, grad, loss, hits);
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
