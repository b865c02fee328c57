// Mini-batches and table rows: gather by index, and the backward of a gather.
#include "kernels/cuda/launch.h"

#include <algorithm>

#include "kernels/checks/gather.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/reductions.h"
#include "kernels/random_cut.h"

namespace alma {
namespace {

constexpr int kImageBlock = 128;
constexpr int kRowBlock = 256;
constexpr int kScatterBlock = 128;
constexpr std::int64_t kMaxColumnBlocks = 65535;  // gridDim.y

struct Images {
  const std::uint8_t* pixels;
  const std::int32_t* labels;
  const std::int32_t* indices;
  std::int64_t count;  // images in the set
  int image;           // pixels of an image, all channels
  int plane;           // pixels of a channel
  int width;           // pixels of a row
};

__device__ float normalise(std::uint8_t pixel, int channel, const PixelScale& p) {
  return fmaf(static_cast<float>(pixel), p.scale[channel], p.shift[channel]);
}

// The pixels of image `row` of the batch, null for an index outside the set; called by the block, which writes the label.
__device__ const std::uint8_t* image_of(const Images& set, std::int64_t row, std::int32_t* y) {
  const std::int64_t index = load<std::int32_t>(set.indices + row);
  const bool known = index >= 0 && index < set.count;
  if (threadIdx.x == 0) store<std::int32_t>(y + row, known ? load<std::int32_t>(set.labels + index) : -1);
  return known ? set.pixels + index * set.image : nullptr;
}

// One block per image of the batch: the index is read once, and its pixels are neighbours. `quads`: four pixels of one
// channel at a time, where the addresses allow it; the output is four times the input, so its accesses count.
template <bool quads>
__global__ void __launch_bounds__(kImageBlock)
    gather_images_kernel(Images set, PixelScale pixels, float* x, std::int32_t* y) {
  const std::int64_t row = blockIdx.x;
  const std::uint8_t* in = image_of(set, row, y);
  float* out = x + row * set.image;
  constexpr int width = quads ? 4 : 1;
  for (int i = width * threadIdx.x; i < set.image; i += width * kImageBlock) {
    const int channel = i / set.plane;
    if constexpr (quads) {
      float4 v = make_float4(NAN, NAN, NAN, NAN);
      if (in != nullptr) {
        const uchar4 p = load<uchar4>(in + i);
        v = make_float4(normalise(p.x, channel, pixels), normalise(p.y, channel, pixels), normalise(p.z, channel, pixels),
                        normalise(p.w, channel, pixels));
      }
      store<float4>(out + i, v);
    } else {
      store<float>(out + i, in != nullptr ? normalise(load<std::uint8_t>(in + i), channel, pixels) : NAN);
    }
  }
}

// The same of an augmented batch. Bytes are read one by one, as a cut moves them off every boundary; the output is four
// times the input, so its accesses count.
template <bool quads>
__global__ void __launch_bounds__(kImageBlock)
    gather_cuts_kernel(Images set, PixelScale pixels, ImageAugmentation augmentation, float* x, std::int32_t* y) {
  const std::int64_t row = blockIdx.x;
  const std::uint8_t* in = image_of(set, row, y);
  float* out = x + row * set.image;
  const RandomCut cut = random_cut(augmentation, load<std::int64_t>(&augmentation.place.state->step), row);
  const int height = set.plane / set.width;
  const auto pixel = [&](int i) {
    const int channel = i / set.plane, place = i - channel * set.plane, r = place / set.width, c = place - r * set.width;
    const int from = r + cut.row, column = (cut.mirrored ? set.width - 1 - c : c) + cut.column;
    if (in == nullptr) return NAN;
    if (from < 0 || from >= height || column < 0 || column >= set.width) return augmentation.fill[channel];
    return normalise(load<std::uint8_t>(in + channel * set.plane + from * set.width + column), channel, pixels);
  };
  constexpr int width = quads ? 4 : 1;
  for (int i = width * threadIdx.x; i < set.image; i += width * kImageBlock) {
    if constexpr (quads) {
      store<float4>(out + i, make_float4(pixel(i), pixel(i + 1), pixel(i + 2), pixel(i + 3)));
    } else {
      store<float>(out + i, pixel(i));
    }
  }
}

__device__ int repeated(int word, int) { return word; }
__device__ int4 repeated(int word, int4) { return make_int4(word, word, word, word); }

// Rows are copied as words or, where rows and addresses allow it, as 16 bytes; n counts Vs in a row. `missing` is what a row
// of an index out of range is filled with.
template <class V>
__global__ void __launch_bounds__(kRowBlock)
    gather_rows_kernel(const int* table, const std::int32_t* indices, int* y, std::int64_t table_rows, std::int64_t rows,
                       std::int64_t n, int missing) {
  constexpr int width = sizeof(V) / sizeof(int);
  for (std::int64_t i = std::int64_t{blockIdx.x} * kRowBlock + threadIdx.x; i < rows * n;
       i += std::int64_t{gridDim.x} * kRowBlock) {
    const std::int64_t row = i / n, column = i - row * n;
    const std::int64_t index = load<std::int32_t>(indices + row);
    V v = repeated(missing, V{});
    if (index >= 0 && index < table_rows) v = load<V>(table + width * (index * n + column));
    store<V>(y + width * i, v);
  }
}

// One block per position of `indices` and 128 columns. The block of the first position that names a table row adds all
// of that row's gradients, in order of their positions; the others end at once. That costs a scan of the indices per
// block, and buys a fixed order without atomics or sorting.
__global__ void __launch_bounds__(kScatterBlock)
    scatter_add_rows_kernel(const float* dy, const std::int32_t* indices, float* table, std::int64_t table_rows,
                            std::int64_t positions, std::int64_t n) {
  constexpr int warps = kScatterBlock / kWarp;
  ALMA_SHARED(unsigned, matches, [warps]);
  const std::int64_t first = blockIdx.x;
  const std::int64_t index = load<std::int32_t>(indices + first);
  if (index < 0 || index >= table_rows) return;
  bool earlier = false;
  for (std::int64_t i = threadIdx.x; i < first; i += kScatterBlock)
    earlier = earlier || load<std::int32_t>(indices + i) == index;
  if (__syncthreads_or(earlier)) return;

  for (std::int64_t column = std::int64_t{blockIdx.y} * kScatterBlock + threadIdx.x; column - threadIdx.x < n;
       column += std::int64_t{gridDim.y} * kScatterBlock) {
    const bool present = column < n;
    float sum = present ? load<float>(table + index * n + column) : 0.0f;
    for (std::int64_t base = first; base < positions; base += kScatterBlock) {
      const std::int64_t i = base + threadIdx.x;
      const unsigned ballot = __ballot_sync(kAllLanes, i < positions && load<std::int32_t>(indices + i) == index);
      __syncthreads();  // the matches before these have been read
      if (threadIdx.x % kWarp == 0) store<unsigned>(&matches[threadIdx.x / kWarp], ballot);
      __syncthreads();
      for (int warp = 0; warp < warps; ++warp) {
        for (unsigned rest = load<unsigned>(&matches[warp]); rest != 0; rest &= rest - 1) {
          const std::int64_t match = base + warp * kWarp + (__ffs(static_cast<int>(rest)) - 1);
          if (present) sum += load<float>(dy + match * n + column);
        }
      }
    }
    if (present) store<float>(table + index * n + column, sum);
  }
}

}  // namespace

void CudaBackend::gather_images(const In& images, const In& labels, const In& indices, const PixelScale& pixels,
                                const Out& x, const Out& y, const ImageAugmentation& augmentation) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::gather_images(*this, images, labels, indices, x, y, augmentation);
  require_f32("gather_images", x);
  const std::int64_t rows = indices.shape[0], plane = images.shape[2] * images.shape[3], image = images.shape[1] * plane;
  if (rows == 0) return;
  if (image >= (std::int64_t{1} << 31) - 4 * kImageBlock)
    fail("[gather_images] an image of ", image, " pixels is too large");
  const Images set{images.as<std::uint8_t>(), labels.as<std::int32_t>(), indices.as<std::int32_t>(),       images.shape[0],
                   static_cast<int>(image),   static_cast<int>(plane),   static_cast<int>(images.shape[3])};
  if (augmentation) {
    const bool quads = image % 4 == 0 && aligned16(x.data);
    launch(quads ? gather_cuts_kernel<true> : gather_cuts_kernel<false>, rows, kImageBlock, 0, stream_, set, pixels,
           augmentation, x.as<float>(), y.as<std::int32_t>());
    return;
  }
  const bool quads = plane % 4 == 0 && reinterpret_cast<std::uintptr_t>(images.data) % 4 == 0 && aligned16(x.data);
  launch(quads ? gather_images_kernel<true> : gather_images_kernel<false>, rows, kImageBlock, 0, stream_, set, pixels,
         x.as<float>(), y.as<std::int32_t>());
}

void CudaBackend::gather_rows(const In& table, const In& indices, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::gather_rows(*this, table, indices, y);
  if (table.dtype != DType::f32 && table.dtype != DType::i32)
    fail("[gather_rows] cuda gathers rows of f32 and i32, got ", table.dtype);
  const std::int64_t rows = indices.shape[0], n = table.shape[1];
  if (rows * n == 0) return;
  const bool vectors = n % 4 == 0 && aligned16(table.data) && aligned16(y.data);
  const std::int64_t row_length = vectors ? n / 4 : n;
  const int quiet_nan = 0x7fc00000;
  launch(vectors ? gather_rows_kernel<int4> : gather_rows_kernel<int>, grid_for(rows * row_length, kRowBlock), kRowBlock, 0,
         stream_, table.as<int>(), indices.as<std::int32_t>(), y.as<int>(), table.shape[0], rows, row_length,
         table.dtype == DType::f32 ? quiet_nan : -1);
}

void CudaBackend::scatter_add_rows(const In& dy, const In& indices, const Out& table) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::scatter_add_rows(*this, dy, indices, table);
  require_f32("scatter_add_rows", dy);
  const std::int64_t rows = indices.shape[0], n = table.shape[1];
  if (rows * n == 0) return;
  const auto column_blocks = static_cast<unsigned>(std::min(blocks_for(n, kScatterBlock), kMaxColumnBlocks));
  launch(scatter_add_rows_kernel, dim3(static_cast<unsigned>(rows), column_blocks), kScatterBlock, 0, stream_,
         dy.as<float>(), indices.as<std::int32_t>(), table.as<float>(), table.shape[0], rows, n);
}

}  // namespace alma
