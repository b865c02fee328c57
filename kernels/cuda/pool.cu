// Max-pooling and adaptive average pooling. The backward gathers: each element of dx looks for the windows that it won or
// belongs to, so that no two threads write to one place.
#include "kernels/cuda/launch.h"

#include <algorithm>

#include "kernels/checks/pool.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/reductions.h"

namespace alma {
namespace {

constexpr int kBlock = 256;

/// Sizes as 32-bit numbers, which divide several times as fast; only offsets across planes are wider.
struct Sizes {
  std::int64_t planes;
  unsigned h, w, oh, ow;
  __device__ std::int64_t input(std::int64_t plane, unsigned row, unsigned column) const {
    return (plane * h + row) * w + column;
  }
  __device__ std::int64_t output(std::int64_t plane, unsigned row, unsigned column) const {
    return (plane * oh + row) * ow + column;
  }
};

Sizes sizes_of(const char* op, const check::PoolSizes& s) {
  constexpr std::int64_t most = std::int64_t{1} << 15;
  if (s.h > most || s.w > most || s.oh > most || s.ow > most)
    fail("[", op, "] cuda pools planes of up to ", most, " rows and columns, got ", s.h, " x ", s.w, " and ", s.oh, " x ",
         s.ow);
  return {s.planes, static_cast<unsigned>(s.h), static_cast<unsigned>(s.w), static_cast<unsigned>(s.oh),
          static_cast<unsigned>(s.ow)};
}

/// Where item i of a [planes, rows, columns] array is.
struct Position {
  std::int64_t plane;
  unsigned row, column;
  __device__ Position(std::int64_t i, unsigned rows, unsigned columns) {
    const unsigned area = rows * columns;
    unsigned rest;
    if (i <= 0xffffffff) {
      const auto small = static_cast<unsigned>(i);
      plane = small / area;
      rest = small % area;
    } else {
      plane = i / area;
      rest = static_cast<unsigned>(i - plane * area);
    }
    row = rest / columns;
    column = rest - row * columns;
  }
};

struct Window {
  unsigned height, width, stride;
};

/// The largest element of a window so far.
struct Winner {
  float value;
  unsigned place;
  __device__ void meet(float challenger, unsigned at) {
    if (!(challenger > value) && challenger == challenger) return;  // NaN wins, over an earlier one too
    value = challenger;
    place = at;
  }
};

__global__ void __launch_bounds__(kBlock)
    max_pool_kernel(const float* x, float* y, std::uint8_t* place, Sizes s, Window window, std::int64_t outputs) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; i < outputs;
       i += std::int64_t{gridDim.x} * kBlock) {
    const Position at(i, s.oh, s.ow);
    const float* corner = x + s.input(at.plane, at.row * window.stride, at.column * window.stride);
    Winner winner{load<float>(corner), 0};
    for (unsigned row = 0; row < window.height; ++row)
      for (unsigned column = row == 0 ? 1 : 0; column < window.width; ++column)
        winner.meet(load<float>(corner + std::int64_t{row} * s.w + column), row * window.width + column);
    store<float>(y + i, winner.value);
    if (place != nullptr) store<std::uint8_t>(place + i, static_cast<std::uint8_t>(winner.place));
  }
}

// Windows of 2 x 2, stride 2, and rows of a multiple of 4: two windows per thread, from 16 bytes of either row.
__global__ void __launch_bounds__(kBlock)
    max_pool_2x2_kernel(const float* x, float* y, std::uint8_t* place, Sizes s, std::int64_t pairs) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; i < pairs; i += std::int64_t{gridDim.x} * kBlock) {
    const Position at(i, s.oh, s.ow / 2);
    const float* corner = x + s.input(at.plane, 2 * at.row, 4 * at.column);
    const float4 top = load<float4>(corner), bottom = load<float4>(corner + s.w);
    Winner left{top.x, 0}, right{top.z, 0};
    left.meet(top.y, 1);
    left.meet(bottom.x, 2);
    left.meet(bottom.y, 3);
    right.meet(top.w, 1);
    right.meet(bottom.z, 2);
    right.meet(bottom.w, 3);
    store<float2>(y + 2 * i, make_float2(left.value, right.value));
    if (place != nullptr)
      store<uchar2>(place + 2 * i,
                    make_uchar2(static_cast<unsigned char>(left.place), static_cast<unsigned char>(right.place)));
  }
}

/// The windows begin .. end that cover position i of a dimension.
struct Covering {
  unsigned begin, end;
  __device__ Covering(unsigned i, unsigned window, unsigned stride, unsigned windows)
      : begin(i < window ? 0 : (i - window) / stride + 1), end(i / stride + 1 < windows ? i / stride + 1 : windows) {}
};

__global__ void __launch_bounds__(kBlock) max_pool_backward_kernel(const float* dy, const std::uint8_t* place, float* dx,
                                                                   Sizes s, Window window, std::int64_t inputs) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; i < inputs; i += std::int64_t{gridDim.x} * kBlock) {
    const Position at(i, s.h, s.w);
    const Covering rows(at.row, window.height, window.stride, s.oh), columns(at.column, window.width, window.stride, s.ow);
    float sum = 0;
    for (unsigned row = rows.begin; row < rows.end; ++row) {
      for (unsigned column = columns.begin; column < columns.end; ++column) {
        const std::int64_t output = s.output(at.plane, row, column);
        const unsigned own = (at.row - row * window.stride) * window.width + at.column - column * window.stride;
        if (load<std::uint8_t>(place + output) == own) sum += load<float>(dy + output);
      }
    }
    store<float>(dx + i, sum);
  }
}

// The backward of max_pool_2x2_kernel. An odd last row, which no window covers, is a row of windows of its own.
__global__ void __launch_bounds__(kBlock)
    max_pool_2x2_backward_kernel(const float* dy, const std::uint8_t* place, float* dx, Sizes s, std::int64_t pairs) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; i < pairs; i += std::int64_t{gridDim.x} * kBlock) {
    const Position at(i, (s.h + 1) / 2, s.ow / 2);
    float* corner = dx + s.input(at.plane, 2 * at.row, 4 * at.column);
    if (at.row == s.oh) {
      store<float4>(corner, make_float4(0, 0, 0, 0));
      continue;
    }
    const std::int64_t output = s.output(at.plane, at.row, 2 * at.column);
    const float2 g = load<float2>(dy + output);
    const uchar2 own = load<uchar2>(place + output);
    const auto part = [](float value, unsigned char winner, unsigned char self) { return winner == self ? value : 0.0f; };
    store<float4>(corner, make_float4(part(g.x, own.x, 0), part(g.x, own.x, 1), part(g.y, own.y, 0), part(g.y, own.y, 1)));
    store<float4>(corner + s.w,
                  make_float4(part(g.x, own.x, 2), part(g.x, own.x, 3), part(g.y, own.y, 2), part(g.y, own.y, 3)));
  }
}

/// 2 x 2 windows that max_pool_2x2_kernel and its backward can do.
bool pairs_of_windows(const Sizes& s, const PoolWindow& window, const In& images, const In& pooled, const In& place) {
  const auto address = [](const In& array) { return reinterpret_cast<std::uintptr_t>(array.data); };
  return window.height == 2 && window.width == 2 && window.stride == 2 && s.w % 4 == 0 && aligned16(images.data) &&
         address(pooled) % 8 == 0 && address(place) % 2 == 0;
}

/// Output i of `outputs` averages elements begin to end of `inputs`; also the outputs that element i belongs to, with the
/// two sizes exchanged.
struct Averaged {
  unsigned begin, end;
  __device__ Averaged(unsigned i, unsigned inputs, unsigned outputs)
      : begin(i * inputs / outputs), end(((i + 1) * inputs + outputs - 1) / outputs) {}
  __device__ unsigned size() const { return end - begin; }
};

// A team of threads per output, whose lanes take neighbouring elements of the window.
template <int lanes>
__global__ void __launch_bounds__(kBlock) average_pool_kernel(const float* x, float* y, Sizes s, std::int64_t outputs) {
  const std::int64_t i = std::int64_t{blockIdx.x} * (kBlock / lanes) + threadIdx.x / lanes;
  float sum = 0, count = 1;
  if (i < outputs) {
    const Position at(i, s.oh, s.ow);
    const Averaged rows(at.row, s.h, s.oh), columns(at.column, s.w, s.ow);
    const unsigned size = rows.size() * columns.size();
    count = static_cast<float>(size);
    for (unsigned e = threadIdx.x % lanes; e < size; e += lanes) {
      const unsigned row = e / columns.size(), column = e - row * columns.size();
      sum += load<float>(x + s.input(at.plane, rows.begin + row, columns.begin + column));
    }
  }
  sum = team_reduce<lanes>(sum, Sum{});
  if (i < outputs && threadIdx.x % lanes == 0) store<float>(y + i, sum / count);
}

__global__ void __launch_bounds__(kBlock)
    average_pool_backward_kernel(const float* dy, float* dx, Sizes s, std::int64_t inputs) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; i < inputs; i += std::int64_t{gridDim.x} * kBlock) {
    const Position at(i, s.h, s.w);
    const Averaged rows(at.row, s.oh, s.h), columns(at.column, s.ow, s.w);
    float sum = 0;
    for (unsigned row = rows.begin; row < rows.end; ++row) {
      for (unsigned column = columns.begin; column < columns.end; ++column) {
        const unsigned size = Averaged(row, s.h, s.oh).size() * Averaged(column, s.w, s.ow).size();
        sum += load<float>(dy + s.output(at.plane, row, column)) / static_cast<float>(size);
      }
    }
    store<float>(dx + i, sum);
  }
}

Window window_of(const PoolWindow& window) {
  // A stride beyond the largest plane leaves one window, whatever it is.
  const std::int64_t stride = std::min<std::int64_t>(window.stride, 1 << 16);
  return {static_cast<unsigned>(window.height), static_cast<unsigned>(window.width), static_cast<unsigned>(stride)};
}

}  // namespace

void CudaBackend::max_pool(const In& x, const PoolWindow& window, const Out& y, const Out& place) {
  const Entry entry(gpu_, __func__);
  const auto seen = check::max_pool(*this, x, window, y, place);
  const Sizes s = sizes_of("max_pool", seen.sizes);
  require_f32("max_pool", x);
  const std::int64_t outputs = y.shape.count();
  if (outputs == 0) return;
  if (pairs_of_windows(s, window, x, y, place)) {
    launch(max_pool_2x2_kernel, grid_for(outputs / 2, kBlock), kBlock, 0, stream_, x.as<float>(), y.as<float>(),
           place.as<std::uint8_t>(), s, outputs / 2);
  } else {
    launch(max_pool_kernel, grid_for(outputs, kBlock), kBlock, 0, stream_, x.as<float>(), y.as<float>(),
           place.as<std::uint8_t>(), s, window_of(window), outputs);
  }
}

void CudaBackend::max_pool_backward(const In& dy, const In& place, const PoolWindow& window, const Out& dx) {
  const Entry entry(gpu_, __func__);
  const auto seen = check::max_pool_backward(*this, dy, place, window, dx);
  const Sizes s = sizes_of("max_pool_backward", seen.sizes);
  require_f32("max_pool_backward", dx);
  const std::int64_t inputs = dx.shape.count();
  if (inputs == 0) return;
  if (pairs_of_windows(s, window, dx, dy, place)) {
    const std::int64_t pairs = s.planes * ((s.h + 1) / 2) * (s.ow / 2);
    launch(max_pool_2x2_backward_kernel, grid_for(pairs, kBlock), kBlock, 0, stream_, dy.as<float>(),
           place.as<std::uint8_t>(), dx.as<float>(), s, pairs);
  } else {
    launch(max_pool_backward_kernel, grid_for(inputs, kBlock), kBlock, 0, stream_, dy.as<float>(), place.as<std::uint8_t>(),
           dx.as<float>(), s, window_of(window), inputs);
  }
}

void CudaBackend::adaptive_average_pool(const In& x, const Out& y) {
  const Entry entry(gpu_, __func__);
  const auto seen = check::adaptive_average_pool(*this, x, y);
  const Sizes s = sizes_of("adaptive_average_pool", seen.sizes);
  require_f32("adaptive_average_pool", x);
  const std::int64_t outputs = y.shape.count();
  if (outputs == 0) return;
  const auto start = [&](auto kernel, int lanes) {
    launch(kernel, blocks_for(outputs, kBlock / lanes), kBlock, 0, stream_, x.as<float>(), y.as<float>(), s, outputs);
  };
  const std::int64_t window = blocks_for(s.h, s.oh) * blocks_for(s.w, s.ow);
  if (window <= 4) return start(average_pool_kernel<1>, 1);
  if (window <= 16) return start(average_pool_kernel<8>, 8);
  window <= 4096 ? start(average_pool_kernel<kWarp>, kWarp) : start(average_pool_kernel<kBlock>, kBlock);
}

void CudaBackend::adaptive_average_pool_backward(const In& dy, const Out& dx) {
  const Entry entry(gpu_, __func__);
  const char* op = "adaptive_average_pool_backward";
  const auto seen = check::adaptive_average_pool_backward(*this, dy, dx);
  const Sizes s = sizes_of(op, seen.sizes);
  require_f32(op, dx);
  const std::int64_t inputs = dx.shape.count();
  if (inputs == 0) return;
  launch(average_pool_backward_kernel, grid_for(inputs, kBlock), kBlock, 0, stream_, dy.as<float>(), dx.as<float>(), s,
         inputs);
}

}  // namespace alma
