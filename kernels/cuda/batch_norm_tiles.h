#pragma once
// How channels are shared out in batch normalisation. A channel is cut into tiles that a team of threads holds in registers.
// A channel of one tile is read once, by one launch; larger ones by two: the first leaves a partial result per chunk of
// tiles, and every team of the second merges those of its channel by itself, which costs less than a third launch. Included
// after launch.h.
#include <type_traits>

#include "kernels/checks/norm.h"
#include "kernels/cuda/reductions.h"
#include "kernels/cuda/statistics.h"

namespace alma {

inline constexpr int kNormBlock = 256;
inline constexpr int kTileFloats = 16;                 // of a tile, in the registers of a thread
inline constexpr std::int64_t kMaxChannelChunks = 64;  // partial results that every team of the second launch reads
inline constexpr std::int64_t kNarrowPlane = 16;       // planes below this do not fill the sectors that they touch

struct NormSizes {
  int images, channels, plane;
};

/// A block per channel and chunk; the items of a channel are its packs of neighbouring elements.
template <int width_>
struct WidePlanes {
  static constexpr int width = width_, step = kNormBlock, items = kTileFloats / width;
  static constexpr int mergers = kWarp;  // threads that merge the partial results of a channel; every warp does it again
  NormSizes sizes;
  int packs;  // of a plane

  static std::int64_t groups(const NormSizes& s) { return s.channels; }
  static std::int64_t item_count(const NormSizes& s) { return std::int64_t{s.images} * s.plane / width; }

  __device__ explicit WidePlanes(const NormSizes& s) : sizes(s), packs(s.plane / width) {}
  __device__ bool present() const { return true; }
  __device__ int channel() const { return static_cast<int>(blockIdx.x); }
  __device__ int lane() const { return static_cast<int>(threadIdx.x); }
  /// One thread of each channel.
  __device__ bool writes() const { return threadIdx.x == 0; }
  __device__ int item_elements() const { return width; }
  __device__ std::int64_t offset(int item) const {
    const int image = item / packs;
    return (std::int64_t{image} * sizes.channels + channel()) * sizes.plane + (item - image * packs) * width;
  }
  template <class T>
  __device__ T sum(T value) const {
    return block_reduce<kNormBlock>(value, Sum{});
  }
};

/// Small planes: a block covers the neighbouring columns of whole channels, and a row of threads one image after another, so
/// that a warp reads neighbouring elements. The items of a channel are the images.
struct NarrowPlanes {
  static constexpr int width = 1, lanes = 32, step = kNormBlock / lanes, items = kTileFloats;
  static constexpr int mergers = 1;
  NormSizes sizes;
  int column, own_channel;

  __host__ __device__ static int channels_of_block(const NormSizes& s) { return lanes / s.plane; }
  static std::int64_t groups(const NormSizes& s) { return blocks_for(s.channels, channels_of_block(s)); }
  static std::int64_t item_count(const NormSizes& s) { return s.images; }

  __device__ explicit NarrowPlanes(const NormSizes& s)
      : sizes(s),
        column(threadIdx.x % lanes),
        own_channel(static_cast<int>(blockIdx.x) * channels_of_block(s) + column / s.plane) {}
  __device__ bool present() const { return column < channels_of_block(sizes) * sizes.plane && own_channel < sizes.channels; }
  __device__ int channel() const { return own_channel; }
  __device__ int lane() const { return static_cast<int>(threadIdx.x) / lanes; }
  __device__ bool writes() const { return present() && lane() == 0 && column % sizes.plane == 0; }
  __device__ int item_elements() const { return sizes.plane; }
  __device__ std::int64_t offset(int image) const {
    return (std::int64_t{image} * sizes.channels + own_channel) * sizes.plane + column % sizes.plane;
  }
  /// Over the rows of threads, then over the columns of the channel.
  template <class T>
  __device__ T sum(T value) const {
    ALMA_SHARED(T, partial, [step][lanes]);
    __syncthreads();  // what an earlier call left has been read
    store<T>(&partial[lane()][column], value);
    __syncthreads();
    if (lane() == 0) {
      for (int row = 1; row < step; ++row) value = value + load<T>(&partial[row][column]);
      store<T>(&partial[0][column], value);
    }
    __syncthreads();
    const int first = column - column % sizes.plane;
    value = load<T>(&partial[0][first]);
    for (int i = first + 1; i < first + sizes.plane && i < lanes; ++i) value = value + load<T>(&partial[0][i]);
    return value;
  }
};

/// Items begin .. end of this thread's channel: a tile of them, or a chunk of tiles.
struct ItemRange {
  int begin, end;
};

/// The cut of a channel's items: `chunk` of them, a multiple of a tile, per block.
struct ChannelChunks {
  int items, chunk, count;
  __device__ ItemRange range(int index) const {
    return {index * chunk, (index + 1) * chunk < items ? (index + 1) * chunk : items};
  }
};

template <class L>
struct ChannelTile {
  static constexpr int most = L::step * L::items;
  const L& layout;
  ItemRange range;

  __device__ ChannelTile(const L& own, ItemRange chunk, int begin)
      : layout(own), range{begin, begin + most < chunk.end ? begin + most : chunk.end} {}
  __device__ float elements() const { return static_cast<float>(range.end - range.begin) * layout.item_elements(); }
  /// f(i, offset): item i of this thread is at `offset` of x.
  template <class F>
  __device__ __forceinline__ void each(F f) const {
    ALMA_UNROLL
    for (int i = 0; i < L::items; ++i) {
      const int item = range.begin + layout.lane() + i * L::step;
      if (item < range.end && layout.present()) f(i, layout.offset(item));
    }
  }
  template <class T>
  __device__ __forceinline__ T sum(T value) const {
    return layout.sum(value);
  }
  __device__ __forceinline__ void load_tile(const float* x, bool aligned, Pack<L::width> (&packs)[L::items]) const {
    each([&](int i, std::int64_t offset) { packs[i] = load_pack<L::width>(x + offset, aligned); });
  }
};

/// f(tile) for the tiles of a chunk; each goes as often round in all threads of a block.
template <class L, class F>
__device__ __forceinline__ void each_tile(const L& layout, const ItemRange& chunk, F f) {
  for (int begin = chunk.begin; begin < chunk.end; begin += ChannelTile<L>::most) f(ChannelTile<L>(layout, chunk, begin));
}

/// How a channel is normalised; the backward finds y's sign by the same formula.
struct ChannelScale {
  float mean, factor, shift;
  __device__ float operator()(float x) const { return fmaf(x - mean, factor, shift); }
};

/// Sum of f(chunk) over the chunks of this thread's channel, by the threads that merge together.
template <class L, class F>
__device__ auto sum_of_chunks(const L& layout, int count, F f) {
  decltype(f(0)) sum{};
  if (layout.present())
    for (int chunk = threadIdx.x % L::mergers; chunk < count; chunk += L::mergers) sum = sum + f(chunk);
  return warp_reduce<L::mergers>(sum, Sum{});
}

inline NormSizes norm_sizes(const char* op, const check::ChannelSizes& sizes) {
  constexpr std::int64_t most = std::int64_t{1} << 30;
  if (sizes.per_channel() > most || sizes.channels > most)
    fail("[", op, "] cuda normalises up to 2^30 channels of 2^30 elements, got ", sizes.channels, " of ",
         sizes.per_channel());
  return {static_cast<int>(sizes.images), static_cast<int>(sizes.channels), static_cast<int>(sizes.plane)};
}

template <class L>
ChannelChunks channel_chunks(const NormSizes& sizes) {
  const std::int64_t items = L::item_count(sizes), tile = ChannelTile<L>::most, tiles = blocks_for(items, tile);
  const std::int64_t chunk = tile * blocks_for(tiles, kMaxChannelChunks);
  return {static_cast<int>(items), static_cast<int>(chunk), static_cast<int>(blocks_for(items, chunk))};
}

/// Calls f(std::type_identity<layout>) with the layout for these sizes.
template <class F>
void with_channel_layout(const NormSizes& sizes, F f) {
  if (sizes.plane < kNarrowPlane) return f(std::type_identity<NarrowPlanes>{});
  if (sizes.plane % 4 == 0) return f(std::type_identity<WidePlanes<4>>{});
  f(std::type_identity<WidePlanes<1>>{});
}

}  // namespace alma
