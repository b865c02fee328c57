// Batch normalisation of images in lanes16. A channel's planes are taken one after the other, so that what one pass
// has read is in the cache for the next: x (and dy) come from memory once. Sums are in f32 for the lanes of a plane,
// in f64 over planes.
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

/// The sums of `Sums` terms over one channel, see add_rows().
template <int Sums, class Term>
void sum_channel(const LaneImages& z, std::int64_t channel, double (&total)[Sums], const Term& term) {
  std::fill_n(total, Sums, 0.0);
  for (std::int64_t block = 0; block < z.blocks(); ++block)
    add_rows(z, (block * z.c + channel) * z.plane(), 0, z.h, z.lanes(block), total, term);
}

struct Moments {
  double mean, squares;  // sum of the squared distances from the mean
};

/// Of one channel, in one pass: by distances from the mean of the first block's images, which keeps the digits that are lost
/// in a difference of large sums.
Moments moments(const LaneImages& z, std::int64_t channel, const float* x) {
  double first[1] = {}, sums[2];
  add_rows(z, channel * z.plane(), 0, z.h, z.lanes(0), first,
           [&](std::int64_t at, V(&sum)[1]) { sum[0] += load_vector(x + at); });
  const float near = static_cast<float>(first[0] / static_cast<double>(z.lanes(0) * z.h * z.w));
  sum_channel(z, channel, sums, [&](std::int64_t at, V(&sum)[2]) {
    const V distance = load_vector(x + at) - near;
    sum[0] += distance;
    sum[1] += distance * distance;
  });
  const double distance = sums[0] / static_cast<double>(z.n * z.h * z.w);
  return {near + distance, std::max(sums[1] - sums[0] * distance, 0.0)};
}

/// to[element] = map(offset of the element) for a channel, and its halo. The last block comes first: of what the sums have
/// read, it is in the cache still where the first is not.
template <class Map>
void map_channel(const LaneImages& z, std::int64_t channel, float* to, const Map& map) {
  for (std::int64_t block = z.blocks() - 1; block >= 0; --block) {
    // Row by row with its halo: memory is written from one end to the other.
    std::int64_t row = (block * z.c + channel) * z.plane();
    std::fill_n(to + row, z.row(), 0.0f);
    for (std::int64_t i = 0; i < z.h; ++i) {
      row += z.row();
      clear_sides(z, to + row);
      const std::int64_t end = row + (z.w + 1) * kImageLanes;
      for (std::int64_t at = row + kImageLanes; at < end; at += kLanes<float>) store_vector(to + at, map(at));
    }
    std::fill_n(to + row + z.row(), z.row(), 0.0f);
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
    const Moments m = moments(z, c, from);
    const float middle = static_cast<float>(m.mean);
    mean.as<float>()[c] = middle;
    rstd.as<float>()[c] = static_cast<float>(1 / std::sqrt(m.squares / count + rule.epsilon));
    update(running_mean, c, m.mean);
    update(running_var, c, m.squares / (count - 1));
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
      sum[1] += g * (value - middle);
    });
    const double dg = sums[1] * spread;
    dbeta.as<float>()[c] = static_cast<float>(sums[0]);
    dgamma.as<float>()[c] = static_cast<float>(dg);
    const float centre = static_cast<float>(sums[0] / count), slope = static_cast<float>(dg / count * spread);
    map_channel(z, c, dx.as<float>(), [&](std::int64_t at) {
      const V value = load_vector(x.as<float>() + at);
      return V(factor * (cotangent(value, at) - centre - (value - middle) * slope));
    });
  });
}

}  // namespace alma
