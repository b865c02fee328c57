// Batch normalisation, backward of the training mode.
#include "kernels/cuda/launch.h"

#include "kernels/cuda/batch_norm_tiles.h"
#include "kernels/cuda/cuda_backend.h"

namespace alma {
namespace {

struct Backward {
  const float *x, *gamma, *beta, *mean, *rstd, *dy;  // beta is null without ReLU
  float *dx, *dgamma, *dbeta;
  NormSizes sizes;
  ChannelChunks chunks;
  bool aligned;
};

/// What the backward knows of a channel.
struct ChannelGradient {
  ChannelScale scale;
  float rstd, factor;
  bool relu;

  __device__ ChannelGradient(const Backward& a, int channel)
      : rstd(load<float>(a.rstd + channel)), factor(rstd * load<float>(a.gamma + channel)), relu(a.beta != nullptr) {
    scale = {load<float>(a.mean + channel), factor, relu ? load<float>(a.beta + channel) : 0.0f};
  }
  __device__ float normalised(float x) const { return (x - scale.mean) * rstd; }
  __device__ float cotangent(float x, float dy) const { return relu && !(scale(x) > 0) ? 0 : dy; }

  /// first: sum of dy, second: of dy times normalised x.
  template <int width>
  __device__ __forceinline__ void add(const Pack<width>& x, const Pack<width>& dy, TwoSums& sums) const {
    ALMA_UNROLL
    for (int k = 0; k < width; ++k) {
      const float g = cotangent(x.v[k], dy.v[k]);
      sums.first += g;
      sums.second = fmaf(g, normalised(x.v[k]), sums.second);
    }
  }
  template <int width>
  __device__ __forceinline__ Pack<width> gradient(const Pack<width>& x, const Pack<width>& dy, const TwoSums& means) const {
    Pack<width> dx;
    ALMA_UNROLL
    for (int k = 0; k < width; ++k)
      dx.v[k] = factor * (cotangent(x.v[k], dy.v[k]) - means.first - normalised(x.v[k]) * means.second);
    return dx;
  }
};

/// The means that dx needs from the sums over a channel, which the one `writer` keeps as dbeta and dgamma.
template <class L>
__device__ TwoSums finish_sums(const Backward& a, const L& layout, const TwoSums& sums, bool writer) {
  if (writer) {
    store<float>(a.dbeta + layout.channel(), sums.first);
    store<float>(a.dgamma + layout.channel(), sums.second);
  }
  const float count = static_cast<float>(a.chunks.items) * layout.item_elements();
  return {sums.first / count, sums.second / count};
}

template <class L>
__global__ void __launch_bounds__(kNormBlock) batch_norm_backward_tile_kernel(const __grid_constant__ Backward a) {
  const L layout(a.sizes);
  const ChannelGradient channel(a, layout.present() ? layout.channel() : 0);
  const ChannelTile<L> tile(layout, a.chunks.range(0), 0);
  Pack<L::width> x[L::items] = {}, dy[L::items] = {};
  tile.load_tile(a.x, a.aligned, x);
  tile.load_tile(a.dy, a.aligned, dy);
  TwoSums sums{};
  tile.each([&](int i, std::int64_t) { channel.add(x[i], dy[i], sums); });
  sums = tile.sum(sums);
  const TwoSums means = finish_sums(a, layout, sums, layout.writes());
  tile.each([&](int i, std::int64_t offset) { store_pack(a.dx + offset, channel.gradient(x[i], dy[i], means), a.aligned); });
}

// parts[channel * chunks + chunk]: the sums of a chunk.
template <class L>
__global__ void __launch_bounds__(kNormBlock) batch_sums_kernel(const __grid_constant__ Backward a, TwoSums* parts) {
  const L layout(a.sizes);
  const ChannelGradient channel(a, layout.present() ? layout.channel() : 0);
  TwoSums sums{};
  each_tile(layout, a.chunks.range(blockIdx.y), [&](const ChannelTile<L>& tile) {
    tile.each([&](int, std::int64_t offset) {
      channel.add(load_pack<L::width>(a.x + offset, a.aligned), load_pack<L::width>(a.dy + offset, a.aligned), sums);
    });
  });
  sums = layout.sum(sums);
  if (layout.writes()) store<TwoSums>(parts + layout.channel() * a.chunks.count + blockIdx.y, sums);
}

template <class L>
__global__ void __launch_bounds__(kNormBlock)
    batch_gradient_kernel(const __grid_constant__ Backward a, const TwoSums* parts) {
  const L layout(a.sizes);
  const TwoSums* own = parts + layout.channel() * a.chunks.count;
  const TwoSums sums = sum_of_chunks(layout, a.chunks.count, [&](int chunk) { return load<TwoSums>(own + chunk); });
  if (!layout.present()) return;
  const ChannelGradient channel(a, layout.channel());
  const TwoSums means = finish_sums(a, layout, sums, blockIdx.y == 0 && layout.writes());
  each_tile(layout, a.chunks.range(blockIdx.y), [&](const ChannelTile<L>& tile) {
    tile.each([&](int, std::int64_t offset) {
      const Pack<L::width> x = load_pack<L::width>(a.x + offset, a.aligned),
                           dy = load_pack<L::width>(a.dy + offset, a.aligned);
      store_pack(a.dx + offset, channel.gradient(x, dy, means), a.aligned);
    });
  });
}

}  // namespace

void CudaBackend::batch_norm_backward(const In& x, const In& gamma, const In& beta, const In& mean, const In& rstd,
                                      const In& dy, const Out& dx, const Out& dgamma, const Out& dbeta) {
  const Entry entry(gpu_, __func__);
  const auto seen = check::batch_norm_backward(*this, x, gamma, beta, mean, rstd, dy, dx, dgamma, dbeta);
  require_f32("batch_norm_backward", x);
  if (x.shape.count() == 0) {
    if (seen.sizes.channels == 0) return;
    fill(dgamma, 0);
    return fill(dbeta, 0);
  }
  const NormSizes sizes = norm_sizes("batch_norm_backward", seen.sizes);
  with_channel_layout(sizes, [&](auto layout) {
    using L = typename decltype(layout)::type;
    const Backward a{x.as<float>(),
                     gamma.as<float>(),
                     beta.as<float>(),
                     mean.as<float>(),
                     rstd.as<float>(),
                     dy.as<float>(),
                     dx.as<float>(),
                     dgamma.as<float>(),
                     dbeta.as<float>(),
                     sizes,
                     channel_chunks<L>(sizes),
                     aligned16(x.data) && aligned16(dy.data) && aligned16(dx.data)};
    if (a.chunks.items <= ChannelTile<L>::most) {
      launch(batch_norm_backward_tile_kernel<L>, L::groups(sizes), kNormBlock, 0, stream_, a);
      return;
    }
    const dim3 grid(static_cast<unsigned>(L::groups(sizes)), static_cast<unsigned>(a.chunks.count));
    auto* parts = reinterpret_cast<TwoSums*>(scratch(2 * std::int64_t{sizes.channels} * a.chunks.count));
    launch(batch_sums_kernel<L>, grid, kNormBlock, 0, stream_, a, parts);
    launch(batch_gradient_kernel<L>, grid, kNormBlock, 0, stream_, a, parts);
  });
}

}  // namespace alma
