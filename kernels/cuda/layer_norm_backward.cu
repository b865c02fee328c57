// Layer normalisation, backward: dx, dgamma and dbeta from one reading of x and dy.
#include "kernels/cuda/launch.h"

#include <algorithm>

#include "kernels/checks/norm.h"
#include "kernels/cuda/columns.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/layer_norm_rows.h"

namespace alma {
namespace {

// A block of the backward takes up to so many rows and leaves one partial sum of dgamma and dbeta, by shape alone: the more
// rows, the less the partial sums weigh, but fewer than 128 blocks would leave multiprocessors idle.
constexpr std::int64_t kBackwardBlocks = 128;
constexpr std::int64_t kBackwardRows = 128;
constexpr std::int64_t kMaxBackwardBlocks = 1024;

struct Backward {
  const float *x, *gamma, *mean, *rstd, *dy;
  float* dx;
  // Of block b at offset b * 2 n: the sums of its rows.
  float *dgamma, *dbeta;
  std::int64_t rows, n;
  std::int64_t block_rows;
  bool aligned;

  __device__ std::int64_t first_row(std::int64_t block) const { return block * block_rows; }
  __device__ std::int64_t last_row(std::int64_t block) const {
    return first_row(block + 1) < rows ? first_row(block + 1) : rows;
  }
};

/// What one pack of a row comes to: normalised x, and the gradient for it.
template <int width>
struct Gradient {
  Pack<width> x, dx;

  /// Adds to the sums: of dx and dx * x (of the row), of dy * x and dy (of the columns).
  __device__ __forceinline__ void start(const Pack<width>& in, const Pack<width>& dy, const Pack<width>& gamma, float mean,
                                        float rstd, TwoSums& row, Pack<width>& dgamma, Pack<width>& dbeta) {
    ALMA_UNROLL
    for (int k = 0; k < width; ++k) {
      x.v[k] = (in.v[k] - mean) * rstd;
      dx.v[k] = dy.v[k] * gamma.v[k];
      row.first += dx.v[k];
      row.second = fmaf(dx.v[k], x.v[k], row.second);
      dgamma.v[k] = fmaf(dy.v[k], x.v[k], dgamma.v[k]);
      dbeta.v[k] += dy.v[k];
    }
  }
  /// row: the means of what start() added up.
  __device__ __forceinline__ Pack<width> finish(float rstd, const TwoSums& row) const {
    Pack<width> result;
    ALMA_UNROLL
    for (int k = 0; k < width; ++k) result.v[k] = rstd * (dx.v[k] - row.first - x.v[k] * row.second);
    return result;
  }
};

// Floats from one team's part of shared memory to the next one's: an odd multiple of what a team writes at a time, so that
// teams that write together write to different banks.
template <class C>
__host__ __device__ constexpr std::int64_t team_stride(std::int64_t n) {
  constexpr std::int64_t unit = C::lanes * C::width < kWarp ? C::lanes * C::width : kWarp;  // as many banks as lanes
  return ((n + unit - 1) / unit | 1) * unit;
}

// Adds up what the teams of a block have for each column, in order of the teams.
template <class C>
__device__ void store_block_sums(const RowPart<C>& part, const Pack<C::width> (&sums)[C::items], std::int64_t n, float* y,
                                 bool aligned) {
  if constexpr (C::teams == 1) {
    part.each([&](int i, int c) { store_pack(y + c, sums[i], aligned); });
  } else {
    ALMA_DYNAMIC_SHARED(float, partial);  // [teams][stride]
    const std::int64_t stride = team_stride<C>(n);
    float* own = partial + threadIdx.x / C::lanes * stride;
    __syncthreads();  // what an earlier call left has been read
    part.each([&](int i, int c) { store_pack(own + c, sums[i], C::width == 4); });
    __syncthreads();
    for (int c = static_cast<int>(threadIdx.x); c < n; c += C::block) {
      float sum = 0;
      for (int team = 0; team < C::teams; ++team) sum += load<float>(partial + team * stride + c);
      store<float>(y + c, sum);
    }
  }
}

template <class C>
__global__ void __launch_bounds__(C::block, 1) layer_norm_backward_kernel(const __grid_constant__ Backward a) {
  const RowPart<C> part(a.n);
  const float scale = 1 / static_cast<float>(a.n);
  Pack<C::width> gamma[C::items] = {}, dgamma[C::items] = {}, dbeta[C::items] = {};
  part.load_row(a.gamma, a.aligned, gamma);
  const std::int64_t end = a.last_row(blockIdx.x);
  for (std::int64_t first = a.first_row(blockIdx.x); first < end; first += C::teams) {
    const std::int64_t row = first + threadIdx.x / C::lanes;
    const bool present = row < end;
    Gradient<C::width> gradient[C::items] = {};
    TwoSums sums{};
    float rstd = 0;
    if (present) {
      const float mean = load<float>(a.mean + row);
      rstd = load<float>(a.rstd + row);
      Pack<C::width> x[C::items] = {}, dy[C::items] = {};
      part.load_row(a.x + row * a.n, a.aligned, x);
      part.load_row(a.dy + row * a.n, a.aligned, dy);
      part.each([&](int i, int) { gradient[i].start(x[i], dy[i], gamma[i], mean, rstd, sums, dgamma[i], dbeta[i]); });
    }
    sums = part.sum(sums);
    if (!present) continue;
    const TwoSums means{sums.first * scale, sums.second * scale};
    part.each([&](int i, int c) { store_pack(a.dx + row * a.n + c, gradient[i].finish(rstd, means), a.aligned); });
  }
  const std::int64_t own = std::int64_t{blockIdx.x} * 2 * a.n;
  store_block_sums<C>(part, dgamma, a.n, a.dgamma + own, a.aligned);
  store_block_sums<C>(part, dbeta, a.n, a.dbeta + own, a.aligned);
}

// Long rows go in two launches. A block per row finds the two means that dx needs ...
template <int width>
__global__ void __launch_bounds__(kLongBlock) row_means_kernel(const __grid_constant__ Backward a, TwoSums* means) {
  const std::int64_t row = blockIdx.x;
  const float mean = load<float>(a.mean + row), rstd = load<float>(a.rstd + row);
  TwoSums sums{};
  for (std::int64_t c = threadIdx.x * width; c < a.n; c += kLongBlock * width) {
    const Pack<width> x = load_pack<width>(a.x + row * a.n + c, a.aligned),
                      dy = load_pack<width>(a.dy + row * a.n + c, a.aligned),
                      gamma = load_pack<width>(a.gamma + c, a.aligned);
    Pack<width> dgamma{}, dbeta{};
    Gradient<width>{}.start(x, dy, gamma, mean, rstd, sums, dgamma, dbeta);
  }
  sums = team_reduce<kLongBlock>(sums, Sum{});
  const float scale = 1 / static_cast<float>(a.n);
  if (threadIdx.x == 0) store<TwoSums>(means + row, {sums.first * scale, sums.second * scale});
}

// ... and a thread per column, or four, goes down the rows of its block.
template <int width>
__global__ void __launch_bounds__(kColumnBlock)
    long_columns_kernel(const __grid_constant__ Backward a, const TwoSums* means) {
  const std::int64_t c = (std::int64_t{blockIdx.x} * kColumnBlock + threadIdx.x) * width;
  if (c >= a.n) return;
  const Pack<width> gamma = load_pack<width>(a.gamma + c, a.aligned);
  Pack<width> dgamma{}, dbeta{};
  for (std::int64_t row = a.first_row(blockIdx.y); row < a.last_row(blockIdx.y); ++row) {
    const float rstd = load<float>(a.rstd + row);
    const Pack<width> x = load_pack<width>(a.x + row * a.n + c, a.aligned),
                      dy = load_pack<width>(a.dy + row * a.n + c, a.aligned);
    Gradient<width> gradient;
    TwoSums unused{};
    gradient.start(x, dy, gamma, load<float>(a.mean + row), rstd, unused, dgamma, dbeta);
    store_pack(a.dx + row * a.n + c, gradient.finish(rstd, load<TwoSums>(means + row)), a.aligned);
  }
  const std::int64_t own = std::int64_t{blockIdx.y} * 2 * a.n;
  store_pack(a.dgamma + own + c, dgamma, a.aligned);
  store_pack(a.dbeta + own + c, dbeta, a.aligned);
}

// Adds up what the blocks have left: partial [blocks][2 n].
__global__ void __launch_bounds__(kColumnBlock)
    add_block_sums_kernel(const float* partial, float* dgamma, float* dbeta, std::int64_t blocks, std::int64_t n) {
  const std::int64_t column = std::int64_t{blockIdx.x} * kColumns + threadIdx.x % kColumns;
  const int row_thread = threadIdx.x / kColumns;
  float sum = 0;
  if (column < 2 * n)
    for (std::int64_t i = row_thread; i < blocks; i += kRowThreads) sum += load<float>(partial + i * 2 * n + column);
  sum = add_rows_of_block(sum);
  if (row_thread == 0 && column < 2 * n) store<float>(column < n ? dgamma + column : dbeta + (column - n), sum);
}

}  // namespace

void CudaBackend::layer_norm_backward(const In& x, const In& gamma, const In& mean, const In& rstd, const In& dy,
                                      const Out& dx, const Out& dgamma, const Out& dbeta) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::layer_norm_backward(*this, x, gamma, mean, rstd, dy, dx, dgamma, dbeta);
  require_f32("layer_norm_backward", x);
  const std::int64_t rows = x.shape[0], n = x.shape[1];
  if (rows == 0) {
    fill(dgamma, 0);
    return fill(dbeta, 0);
  }
  with_row_cut(n, [&](auto cut) {
    using C = decltype(cut);
    const bool is_long = n > kLongestInRegisters;
    const std::int64_t block_rows =
        std::max(std::clamp<std::int64_t>(blocks_for(rows, kBackwardBlocks), is_long ? 1 : C::teams, kBackwardRows),
                 blocks_for(rows, kMaxBackwardBlocks));
    const std::int64_t blocks = blocks_for(rows, block_rows), partial = blocks == 1 ? 0 : blocks * 2 * n;
    float* memory = scratch(partial + (is_long ? 2 * rows : 0));
    const bool aligned = aligned16(x.data) && aligned16(gamma.data) && aligned16(dy.data) && aligned16(dx.data) &&
                         aligned16(dgamma.data) && aligned16(dbeta.data);
    const Backward a{x.as<float>(),
                     gamma.as<float>(),
                     mean.as<float>(),
                     rstd.as<float>(),
                     dy.as<float>(),
                     dx.as<float>(),
                     blocks == 1 ? dgamma.as<float>() : memory,
                     blocks == 1 ? dbeta.as<float>() : memory + n,
                     rows,
                     n,
                     block_rows,
                     aligned};
    if (!is_long) {
      launch(layer_norm_backward_kernel<C>, blocks, C::block,
             C::teams == 1 ? 0 : static_cast<std::size_t>(C::teams * team_stride<C>(n)) * sizeof(float), stream_, a);
    } else if constexpr (C::lanes == kLongBlock) {
      auto* means = reinterpret_cast<TwoSums*>(memory + partial);
      const auto column_blocks = static_cast<unsigned>(blocks_for(n, kColumnBlock * C::width));
      launch(row_means_kernel<C::width>, rows, kLongBlock, 0, stream_, a, means);
      launch(long_columns_kernel<C::width>, dim3(column_blocks, static_cast<unsigned>(blocks)), kColumnBlock, 0, stream_, a,
             means);
    }
    if (blocks > 1)
      launch(add_block_sums_kernel, blocks_for(2 * n, kColumns), kColumnBlock, 0, stream_, memory, dgamma.as<float>(),
             dbeta.as<float>(), blocks, n);
  });
}

}  // namespace alma
