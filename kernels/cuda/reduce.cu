// Sums over dimensions, argmax, and the backward of a product's bias and ReLU.
#include "kernels/cuda/launch.h"

#include <algorithm>

#include "kernels/checks/reduce.h"
#include "kernels/cuda/columns.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/reductions.h"

namespace alma {
namespace {

constexpr int kBlock = kColumnBlock;

// Sums of up to this many elements are done by one warp; longer ones by a block, or by several blocks that take a chunk each
// and leave a partial sum, which a second launch adds up in order. All by shape: the same bits on every GPU.
constexpr std::int64_t kWarpElements = 1024;
constexpr std::int64_t kChunkElements = 4096;
constexpr std::int64_t kChunkRows = 512;
constexpr std::int64_t kMaxChunks = 65535;  // gridDim.y

// Dimensions that are walked together, outermost first; neighbours that can be walked as one are merged, so that kept and
// summed ones alternate and there are at most three of each.
struct Axes {
  int rank = 0;
  std::int64_t size[3] = {};
  std::int64_t stride[3] = {};

  std::int64_t count() const {
    std::int64_t n = 1;
    for (int d = 0; d < rank; ++d) n *= size[d];
    return n;
  }
  __device__ std::int64_t offset(std::int64_t index) const {
    std::int64_t result = 0;
    for (int d = rank - 1; d > 0; --d) {
      const std::int64_t quotient = index / size[d];
      result += (index - quotient * size[d]) * stride[d];
      index = quotient;
    }
    return rank == 0 ? 0 : result + index * stride[0];
  }
};

// What one block of a sum covers: chunk blockIdx.y of the summed elements.
struct Range {
  std::int64_t begin, end;
};
__device__ Range chunk_range(std::int64_t count, std::int64_t chunk) {
  const std::int64_t begin = std::int64_t{blockIdx.y} * chunk;
  return {begin, begin + chunk < count ? begin + chunk : count};
}

// The innermost dimension is summed: a team of neighbouring threads per output reads neighbouring elements.
// y[output * chunks + chunk].
template <int lanes>
__global__ void __launch_bounds__(kBlock)
    sum_rows_kernel(const float* x, float* y, std::int64_t outputs, const __grid_constant__ Axes kept,
                    const __grid_constant__ Axes summed, std::int64_t count, std::int64_t chunk) {
  const std::int64_t output = std::int64_t{blockIdx.x} * (kBlock / lanes) + threadIdx.x / lanes;
  const int lane = threadIdx.x % lanes;
  float sum = 0;
  if (output < outputs) {
    const float* row = x + kept.offset(output);
    const Range range = chunk_range(count, chunk);
    for (std::int64_t i = range.begin + lane; i < range.end; i += lanes) sum += load<float>(row + summed.offset(i));
  }
  sum = team_reduce<lanes>(sum, Sum{});
  if (output < outputs && lane == 0) store<float>(y + output * gridDim.y + blockIdx.y, sum);
}

// The innermost dimension is kept: neighbouring threads have neighbouring outputs. y[chunk * outputs + output].
__global__ void __launch_bounds__(kBlock)
    sum_columns_kernel(const float* x, float* y, std::int64_t outputs, const __grid_constant__ Axes kept,
                       const __grid_constant__ Axes summed, std::int64_t count, std::int64_t chunk) {
  const std::int64_t output = std::int64_t{blockIdx.x} * kColumns + threadIdx.x % kColumns;
  const int row_thread = threadIdx.x / kColumns;
  float sum = 0;
  if (output < outputs) {
    const float* column = x + kept.offset(output);
    const Range range = chunk_range(count, chunk);
    for (std::int64_t i = range.begin + row_thread; i < range.end; i += kRowThreads)
      sum += load<float>(column + summed.offset(i));
  }
  sum = add_rows_of_block(sum);
  if (output < outputs && row_thread == 0) store<float>(y + blockIdx.y * outputs + output, sum);
}

// dz = dy where y > 0, and the column sums of dz of the block's rows, while they are in registers. y and dz may be null.
__global__ void __launch_bounds__(kBlock) bias_relu_kernel(const float* dy, const float* y, float* dz, float* sums,
                                                           std::int64_t rows, std::int64_t columns, std::int64_t chunk) {
  const std::int64_t column = std::int64_t{blockIdx.x} * kColumns + threadIdx.x % kColumns;
  const int row_thread = threadIdx.x / kColumns;
  float sum = 0;
  if (column < columns) {
    const Range range = chunk_range(rows, chunk);
    for (std::int64_t row = range.begin + row_thread; row < range.end; row += kRowThreads) {
      const std::int64_t i = row * columns + column;
      float value = load<float>(dy + i);
      if (y != nullptr) {
        if (!(load<float>(y + i) > 0)) value = 0;
        store<float>(dz + i, value);
      }
      sum += value;
    }
  }
  if (sums == nullptr) return;
  sum = add_rows_of_block(sum);
  if (column < columns && row_thread == 0) store<float>(sums + blockIdx.y * columns + column, sum);
}

template <int lanes>
__global__ void __launch_bounds__(kBlock) argmax_kernel(const float* x, std::int32_t* y, std::int64_t rows, std::int64_t n) {
  const std::int64_t row = std::int64_t{blockIdx.x} * (kBlock / lanes) + threadIdx.x / lanes;
  const int lane = threadIdx.x % lanes;
  Best best = no_best();
  if (row < rows) {
    for (std::int64_t i = lane; i < n; i += lanes)
      best = Better{}(best, Best{load<float>(x + row * n + i), static_cast<int>(i)});
  }
  best = team_reduce<lanes>(best, Better{});
  if (row < rows && lane == 0) store<std::int32_t>(y + row, best.index < n ? best.index : 0);  // a row of NaN: the first
}

struct Chunks {
  std::int64_t size, count;
};
Chunks cut(std::int64_t total, std::int64_t chunk) {
  const std::int64_t size = std::max(chunk, blocks_for(total, kMaxChunks));
  return {size, blocks_for(total, size)};
}

struct Reduction {
  Axes kept, summed;
  bool innermost_summed = false;
};

// Splits x's dimensions into kept and summed ones, innermost last.
Reduction split_dimensions(const Shape& x, const Shape& y) {
  struct Group {
    bool summed;
    std::int64_t size, stride;
  };
  Group groups[Shape::max_rank];
  int count = 0;
  std::int64_t stride = 1;
  for (int d = x.rank() - 1; d >= 0; --d) {
    if (x[d] == 1) continue;
    const bool summed = y[d] == 1;
    if (count > 0 && groups[count - 1].summed == summed) {
      groups[count - 1].size *= x[d];
    } else {
      groups[count++] = {summed, x[d], stride};
    }
    stride *= x[d];
  }
  Reduction result;
  result.innermost_summed = count > 0 && groups[0].summed;
  for (int i = count - 1; i >= 0; --i) {
    Axes& axes = groups[i].summed ? result.summed : result.kept;
    axes.size[axes.rank] = groups[i].size;
    axes.stride[axes.rank++] = groups[i].stride;
  }
  return result;
}

// The sums of columns of a dense [rows, columns] array, without cutting the rows again.
void add_partial_columns(const float* partial, float* y, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  const Axes kept{1, {columns}, {1}}, summed{1, {rows}, {columns}};
  launch(sum_columns_kernel, blocks_for(columns, kColumns), kBlock, 0, stream, partial, y, columns, kept, summed, rows,
         rows);
}

}  // namespace

void CudaBackend::reduce_sum(const In& x, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::reduce_sum(*this, x, y);
  require_f32("reduce_sum", x);
  const std::int64_t outputs = y.shape.count();
  if (outputs == 0) return;
  if (x.shape.count() == 0) return fill(y, 0);
  const auto [kept, summed, innermost_summed] = split_dimensions(x.shape, y.shape);
  const std::int64_t count = summed.count();
  const float* in = x.as<float>();
  float* out = y.as<float>();
  if (innermost_summed && count <= kWarpElements) {
    launch(sum_rows_kernel<kWarp>, blocks_for(outputs, kBlock / kWarp), kBlock, 0, stream_, in, out, outputs, kept, summed,
           count, count);
    return;
  }
  const Chunks chunks = cut(count, innermost_summed ? kChunkElements : kChunkRows);
  float* partial = chunks.count == 1 ? out : scratch(outputs * chunks.count);
  const auto grid_y = static_cast<unsigned>(chunks.count);
  if (innermost_summed) {
    launch(sum_rows_kernel<kBlock>, dim3(static_cast<unsigned>(outputs), grid_y), kBlock, 0, stream_, in, partial, outputs,
           kept, summed, count, chunks.size);
    if (chunks.count == 1) return;
    const Axes rows{1, {outputs}, {chunks.count}}, elements{1, {chunks.count}, {1}};
    launch(sum_rows_kernel<kBlock>, outputs, kBlock, 0, stream_, partial, out, outputs, rows, elements, chunks.count,
           chunks.count);
  } else {
    launch(sum_columns_kernel, dim3(static_cast<unsigned>(blocks_for(outputs, kColumns)), grid_y), kBlock, 0, stream_, in,
           partial, outputs, kept, summed, count, chunks.size);
    if (chunks.count > 1) add_partial_columns(partial, out, chunks.count, outputs, stream_);
  }
}

void CudaBackend::bias_relu_backward(const In& dy, const In& y, const Out& dz, const Out& dbias) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::bias_relu_backward(*this, dy, y, dz, dbias);
  require_f32("bias_relu_backward", dy);
  const std::int64_t rows = dy.shape[0], columns = dy.shape[1];
  if (columns == 0 || (!y && !dbias)) return;
  if (rows == 0) {
    if (dbias) fill(dbias, 0);
    return;
  }
  const Chunks chunks = cut(rows, kChunkRows);
  float* sums = dbias.as<float>();
  if (dbias && chunks.count > 1) sums = scratch(columns * chunks.count);
  launch(bias_relu_kernel, dim3(static_cast<unsigned>(blocks_for(columns, kColumns)), static_cast<unsigned>(chunks.count)),
         kBlock, 0, stream_, dy.as<float>(), y.as<float>(), dz.as<float>(), sums, rows, columns, chunks.size);
  if (dbias && chunks.count > 1) add_partial_columns(sums, dbias.as<float>(), chunks.count, columns, stream_);
}

void CudaBackend::argmax(const In& x, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::argmax(*this, x, y);
  require_f32("argmax", x);
  const std::int64_t rows = x.shape[0], n = x.shape[1];
  if (rows == 0) return;
  if (n <= kWarpElements) {
    launch(argmax_kernel<kWarp>, blocks_for(rows, kBlock / kWarp), kBlock, 0, stream_, x.as<float>(), y.as<std::int32_t>(),
           rows, n);
  } else {
    launch(argmax_kernel<kBlock>, rows, kBlock, 0, stream_, x.as<float>(), y.as<std::int32_t>(), rows, n);
  }
}

}  // namespace alma
