// Batch normalisation of images in lanes16. A channel's planes are taken one after the other, so that what one pass has read
// is in the cache for the next: x (and dy) come from memory once. Sums are in f32 for the lanes of a plane, in f64 over
// planes.
#include "kernels/cpu/batch_norm_lanes.h"

#include <cmath>

namespace alma {
namespace {

using V = Vector<float>;

/// What a channel's elements are normalised with. The backward recomputes y, so there is one formula for it.
struct Scale {
  float mean, factor, shift;
  V operator()(const V& x) const { return (x - mean) * factor + shift; }
};

/// The sums of `Sums` terms over one channel: term(offset, sums) adds the terms of the vector there. Lanes that hold no
/// image are left out. Each term of a row's even and odd columns has a sum of its own, which hides the latency of additions.
template <int Sums, class Term>
void sum_channel(const LaneImages& z, std::int64_t channel, double (&total)[Sums], const Term& term) {
  for (int i = 0; i < Sums; ++i) total[i] = 0;
  for (std::int64_t block = 0; block < z.blocks(); ++block) {
    const std::int64_t lanes = z.lanes(block);
    for (int part = 0; part < kLaneParts; ++part) {
      const std::int64_t count = lanes_of_part(lanes, part);
      if (count == 0) continue;
      V even[Sums] = {}, odd[Sums] = {};
      std::int64_t at = (block * z.c + channel) * z.plane() + z.inside() + part * kLanes<float>;
      for (std::int64_t i = 0; i < z.h; ++i, at += z.row()) {
        std::int64_t j = 0;
        for (; j + 2 <= z.w; j += 2) {
          term(at + j * kImageLanes, even);
          term(at + (j + 1) * kImageLanes, odd);
        }
        if (j < z.w) term(at + j * kImageLanes, even);
      }
      for (int i = 0; i < Sums; ++i) {
        float sums[kLanes<float>];
        store_vector(sums, V(even[i] + odd[i]));
        for (std::int64_t lane = 0; lane < count; ++lane) total[i] += sums[lane];
      }
    }
  }
}

/// to[element] = map(offset of the element) for a channel, and its halo.
template <class Map>
void map_channel(const LaneImages& z, std::int64_t channel, float* to, const Map& map) {
  for (std::int64_t block = 0; block < z.blocks(); ++block) {
    const std::int64_t plane = (block * z.c + channel) * z.plane();
    clear_halo(z, 0, z.h, to + plane);
    for (std::int64_t i = 0; i < z.h; ++i) {
      const std::int64_t row = plane + z.inside() + i * z.row();
      for (std::int64_t at = row; at < row + z.w * kImageLanes; at += kLanes<float>) store_vector(to + at, map(at));
    }
  }
}

template <class Work>
void for_channels(ThreadPool* pool, const LaneImages& z, double nanoseconds, const Work& work) {
  const double elements = static_cast<double>(z.blocks() * z.h * z.w * kLaneParts);
  for_pieces(pool, z.c, 1, nanoseconds * elements, [&](std::int64_t channel, std::int64_t) { work(channel); });
}

V relu_if(bool relu, const V& y) { return relu ? (y < 0.0f ? V{} : y) : y; }

}  // namespace

void batch_norm_lanes(ThreadPool* pool, const In& x, const In& gamma, const In& beta, const BatchNormRule& rule,
                      const Out& running_mean, const Out& running_var, const Out& y, const Out& mean, const Out& rstd) {
  const LaneImages z(x.shape);
  const double count = static_cast<double>(z.n * z.h * z.w);
  const float* from = x.as<float>();
  const auto update = [&](const Out& running, std::int64_t c, double value) {
    if (!running) return;
    float& average = running.as<float>()[c];
    average = static_cast<float>((1 - rule.momentum) * average + rule.momentum * value);
  };
  for_channels(pool, z, 2, [&](std::int64_t c) {
    double sum[1], squares[1];
    sum_channel(z, c, sum, [&](std::int64_t at, V(&sums)[1]) { sums[0] += load_vector(from + at); });
    const float middle = static_cast<float>(sum[0] / count);
    sum_channel(z, c, squares, [&](std::int64_t at, V(&sums)[1]) {
      const V distance = load_vector(from + at) - middle;
      sums[0] += distance * distance;
    });
    mean.as<float>()[c] = middle;
    rstd.as<float>()[c] = static_cast<float>(1 / std::sqrt(squares[0] / count + rule.epsilon));
    update(running_mean, c, sum[0] / count);
    update(running_var, c, squares[0] / (count - 1));
    const Scale scale{middle, rstd.as<float>()[c] * gamma.as<float>()[c], beta.as<float>()[c]};
    map_channel(z, c, y.as<float>(), [&](std::int64_t at) { return relu_if(rule.relu, scale(load_vector(from + at))); });
  });
}

void batch_norm_lanes_inference(ThreadPool* pool, const In& x, const In& gamma, const In& beta, const In& running_mean,
                                const In& running_var, double epsilon, bool relu, const Out& y) {
  const LaneImages z(x.shape);
  for_channels(pool, z, 1, [&](std::int64_t c) {
    const float rstd = 1 / std::sqrt(running_var.as<float>()[c] + static_cast<float>(epsilon));
    const Scale scale{running_mean.as<float>()[c], rstd * gamma.as<float>()[c], beta.as<float>()[c]};
    map_channel(z, c, y.as<float>(), [&](std::int64_t at) { return relu_if(relu, scale(load_vector(x.as<float>() + at))); });
  });
}

void batch_norm_lanes_backward(ThreadPool* pool, const In& x, const In& gamma, const In& beta, const In& mean,
                               const In& rstd, const In& dy, const Out& dx, const Out& dgamma, const Out& dbeta) {
  const LaneImages z(x.shape);
  const double count = static_cast<double>(z.n * z.h * z.w);
  for_channels(pool, z, 3, [&](std::int64_t c) {
    const float middle = mean.as<float>()[c], spread = rstd.as<float>()[c], factor = spread * gamma.as<float>()[c];
    const Scale scale{middle, factor, beta ? beta.as<float>()[c] : 0};
    // dy where the output was above 0.
    const auto cotangent = [&](const V& value, std::int64_t at) {
      const V g = load_vector(dy.as<float>() + at);
      return beta ? (scale(value) > 0.0f ? g : V{}) : g;
    };
    double sums[2];
    sum_channel(z, c, sums, [&](std::int64_t at, V(&sum)[2]) {
      const V value = load_vector(x.as<float>() + at), g = cotangent(value, at);
      sum[0] += g;
      sum[1] += g * ((value - middle) * spread);
    });
    dbeta.as<float>()[c] = static_cast<float>(sums[0]);
    dgamma.as<float>()[c] = static_cast<float>(sums[1]);
    const float centre = static_cast<float>(sums[0] / count), slope = static_cast<float>(sums[1] / count);
    map_channel(z, c, dx.as<float>(), [&](std::int64_t at) {
      const V value = load_vector(x.as<float>() + at);
      return V(factor * (cotangent(value, at) - centre - (value - middle) * spread * slope));
    });
  });
}

}  // namespace alma
