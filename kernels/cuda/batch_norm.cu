// Batch normalisation, forward: training and evaluation.
#include "kernels/cuda/launch.h"

#include "kernels/cuda/batch_norm_tiles.h"
#include "kernels/cuda/cuda_backend.h"

namespace alma {
namespace {

struct Forward {
  const float *x, *gamma, *beta;
  float *running_mean, *running_var;  // may be null
  float *y, *mean, *rstd;
  NormSizes sizes;
  ChannelChunks chunks;
  float momentum, epsilon;
  bool relu, aligned;

  /// The scale of a channel with these moments; `writer`: the one thread that keeps its statistics.
  __device__ ChannelScale finish(int channel, const Moments& moments, bool writer) const {
    const float own_rstd = 1 / sqrtf(moments.squares / moments.count + epsilon);
    if (writer) {
      store<float>(mean + channel, moments.rounded_mean());
      store<float>(rstd + channel, own_rstd);
      if (running_mean != nullptr) {
        const float unbiased = moments.squares / (moments.count - 1);
        store<float>(running_mean + channel,
                     fmaf(momentum, moments.rounded_mean(), (1 - momentum) * load<float>(running_mean + channel)));
        store<float>(running_var + channel, fmaf(momentum, unbiased, (1 - momentum) * load<float>(running_var + channel)));
      }
    }
    return {moments.rounded_mean(), own_rstd * load<float>(gamma + channel), load<float>(beta + channel)};
  }
};

template <int width>
__device__ __forceinline__ Pack<width> normalise(Pack<width> x, const ChannelScale& scale, bool relu) {
  ALMA_UNROLL
  for (int k = 0; k < width; ++k) {
    const float y = scale(x.v[k]);
    x.v[k] = relu && y < 0 ? 0 : y;
  }
  return x;
}

template <class L>
__device__ void normalise_chunk(const L& layout, const ItemRange& chunk, const float* x, const ChannelScale& scale,
                                bool relu, float* y, bool aligned) {
  each_tile(layout, chunk, [&](const ChannelTile<L>& tile) {
    tile.each([&](int, std::int64_t offset) {
      store_pack(y + offset, normalise(load_pack<L::width>(x + offset, aligned), scale, relu), aligned);
    });
  });
}

// A channel is one tile.
template <class L>
__global__ void __launch_bounds__(kNormBlock) batch_norm_tile_kernel(const __grid_constant__ Forward a) {
  const L layout(a.sizes);
  const ChannelTile<L> tile(layout, a.chunks.range(0), 0);
  Pack<L::width> x[L::items] = {};
  tile.load_tile(a.x, a.aligned, x);
  const Moments moments = moments_of(tile, x, tile.elements());
  if (!layout.present()) return;
  const ChannelScale scale = a.finish(layout.channel(), moments, layout.writes());
  tile.each([&](int i, std::int64_t offset) { store_pack(a.y + offset, normalise(x[i], scale, a.relu), a.aligned); });
}

// parts[channel * chunks + chunk]: the moments of a chunk.
template <class L>
__global__ void __launch_bounds__(kNormBlock) batch_moments_kernel(const __grid_constant__ Forward a, Moments* parts) {
  const L layout(a.sizes);
  Moments moments;
  each_tile(layout, a.chunks.range(blockIdx.y), [&](const ChannelTile<L>& tile) {
    Pack<L::width> x[L::items] = {};
    tile.load_tile(a.x, a.aligned, x);
    moments = merge(moments, moments_of(tile, x, tile.elements()));
  });
  if (layout.writes()) store<Moments>(parts + layout.channel() * a.chunks.count + blockIdx.y, moments);
}

/// The moments of a channel from those of its chunks: a number close to the mean first, then the rest about it.
template <class L>
__device__ Moments merge_chunks(const L& layout, const ChannelChunks& chunks, const Moments* parts) {
  const Moments* own = parts + layout.channel() * chunks.count;
  const float count = static_cast<float>(chunks.items) * layout.item_elements();
  const float centre = sum_of_chunks(layout, chunks.count,
                                     [&](int chunk) {
                                       const Moments part = load<Moments>(own + chunk);
                                       return part.count * part.mean;
                                     }) /
                       count;
  const TwoSums sums = sum_of_chunks(layout, chunks.count, [&](int chunk) {
    const Moments part = load<Moments>(own + chunk);
    const float distance = (part.mean - centre) + part.rest, weighted = part.count * distance;
    return TwoSums{weighted, fmaf(weighted, distance, part.squares)};
  });
  return Moments::about(centre, count, sums);
}

template <class L>
__global__ void __launch_bounds__(kNormBlock, 1)
    batch_normalise_kernel(const __grid_constant__ Forward a, const Moments* parts) {
  const L layout(a.sizes);
  const Moments moments = merge_chunks(layout, a.chunks, parts);
  if (!layout.present()) return;
  const ChannelScale scale = a.finish(layout.channel(), moments, blockIdx.y == 0 && layout.writes());
  normalise_chunk(layout, a.chunks.range(blockIdx.y), a.x, scale, a.relu, a.y, a.aligned);
}

struct InferenceStatistics {
  const float *gamma, *beta, *mean, *variance;
  float epsilon;
};

template <class L>
__global__ void __launch_bounds__(kNormBlock, 1)
    batch_norm_inference_kernel(const float* x, InferenceStatistics s, NormSizes sizes, ChannelChunks chunks, bool relu,
                                float* y, bool aligned) {
  const L layout(sizes);
  if (!layout.present()) return;
  const int c = layout.channel();
  const float rstd = 1 / sqrtf(load<float>(s.variance + c) + s.epsilon);
  const ChannelScale scale{load<float>(s.mean + c), rstd * load<float>(s.gamma + c), load<float>(s.beta + c)};
  normalise_chunk(layout, chunks.range(blockIdx.y), x, scale, relu, y, aligned);
}

}  // namespace

void CudaBackend::batch_norm(const In& x, const In& gamma, const In& beta, const BatchNormRule& rule,
                             const Out& running_mean, const Out& running_var, const Out& y, const Out& mean,
                             const Out& rstd) {
  const Entry entry(gpu_, __func__);
  const auto seen = check::batch_norm(*this, x, gamma, beta, running_mean, running_var, y, mean, rstd);
  require_f32("batch_norm", x);
  if (x.shape.count() == 0) return;
  const NormSizes sizes = norm_sizes("batch_norm", seen.sizes);
  with_channel_layout(sizes, [&](auto layout) {
    using L = typename decltype(layout)::type;
    const Forward a{x.as<float>(),
                    gamma.as<float>(),
                    beta.as<float>(),
                    running_mean.as<float>(),
                    running_var.as<float>(),
                    y.as<float>(),
                    mean.as<float>(),
                    rstd.as<float>(),
                    sizes,
                    channel_chunks<L>(sizes),
                    static_cast<float>(rule.momentum),
                    static_cast<float>(rule.epsilon),
                    rule.relu,
                    aligned16(x.data) && aligned16(y.data)};
    if (a.chunks.items <= ChannelTile<L>::most) {
      launch(batch_norm_tile_kernel<L>, L::groups(sizes), kNormBlock, 0, stream_, a);
      return;
    }
    const dim3 grid(static_cast<unsigned>(L::groups(sizes)), static_cast<unsigned>(a.chunks.count));
    auto* parts = reinterpret_cast<Moments*>(scratch(4 * std::int64_t{sizes.channels} * a.chunks.count));
    launch(batch_moments_kernel<L>, grid, kNormBlock, 0, stream_, a, parts);
    launch(batch_normalise_kernel<L>, grid, kNormBlock, 0, stream_, a, parts);
  });
}

void CudaBackend::batch_norm_inference(const In& x, const In& gamma, const In& beta, const In& running_mean,
                                       const In& running_var, double epsilon, bool relu, const Out& y) {
  const Entry entry(gpu_, __func__);
  const auto seen = check::batch_norm_inference(*this, x, gamma, beta, running_mean, running_var, y);
  require_f32("batch_norm_inference", x);
  if (x.shape.count() == 0) return;
  const NormSizes sizes = norm_sizes("batch_norm_inference", seen.sizes);
  with_channel_layout(sizes, [&](auto layout) {
    using L = typename decltype(layout)::type;
    const ChannelChunks chunks = channel_chunks<L>(sizes);
    const InferenceStatistics s{gamma.as<float>(), beta.as<float>(), running_mean.as<float>(), running_var.as<float>(),
                                static_cast<float>(epsilon)};
    const dim3 grid(static_cast<unsigned>(L::groups(sizes)), static_cast<unsigned>(chunks.count));
    launch(batch_norm_inference_kernel<L>, grid, kNormBlock, 0, stream_, x.as<float>(), s, sizes, chunks, relu,
           y.as<float>(), aligned16(x.data) && aligned16(y.data));
  });
}

}  // namespace alma
