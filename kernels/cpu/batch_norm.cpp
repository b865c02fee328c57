#include <cmath>

#include "kernels/checks/norm.h"
#include "kernels/cpu/batch_norm_lanes.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rows.h"

namespace alma {
namespace {

/// Some channels of x. Their planes lie apart, so sums go image by image, in f64, with one plane at a time in the type T.
template <class T>
struct Channels {
  check::ChannelSizes sizes;
  std::int64_t begin, end;

  /// f(channel, offset of its plane), image by image.
  template <class F>
  void each_plane(const F& f) const {
    for (std::int64_t image = 0; image < sizes.images; ++image)
      for (std::int64_t c = begin; c < end; ++c) f(c, (image * sizes.channels + c) * sizes.plane);
  }
  /// sums[c] = sum of term(c, i) over the elements i of channel c.
  template <class Term>
  void sum(double* sums, const Term& term) const {
    std::fill(sums + begin, sums + end, 0.0);
    each_plane([&](std::int64_t c, std::int64_t first) {
      sums[c] += lane_sum<T>(sizes.plane, [&](std::int64_t i) { return term(c, first + i); });
    });
  }
};

/// work(Channels<T>) for all channels, in pieces.
template <class T, class Work>
void for_channels(ThreadPool* pool, const check::ChannelSizes& sizes, double nanoseconds, const Work& work) {
  const std::int64_t n = sizes.per_channel();
  const std::int64_t together = ceil_divide(16, sizes.plane);  // channels that share a cache line
  for_pieces(pool, sizes.channels, std::max(rows_per_piece(n), together), nanoseconds * static_cast<double>(n),
             [&](std::int64_t begin, std::int64_t end) {
               work(Channels<T>{sizes, begin, end});
             });
}

/// What a channel's elements are normalised with. The backward recomputes y, so there is one formula for it.
template <class T>
struct Scale {
  T mean, factor, shift;
  T operator()(T x) const { return (x - mean) * factor + shift; }
};

template <class T>
void normalise(const T* __restrict x, std::int64_t n, const Scale<T>& scale, bool relu, T* __restrict y) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T value = scale(x[i]);
    y[i] = relu && value < T(0) ? T(0) : value;
  }
}

}  // namespace

void CpuBackend::batch_norm(const In& x, const In& gamma, const In& beta, const BatchNormRule& rule, const Out& running_mean,
                            const Out& running_var, const Out& y, const Out& mean, const Out& rstd) {
  const auto seen = check::batch_norm(*this, x, gamma, beta, running_mean, running_var, y, mean, rstd);
  const check::ChannelSizes& sizes = seen.sizes;
  if (x.layout == Layout::lanes16 && x.shape.count() > 0)
    return batch_norm_lanes(pool_, x, gamma, beta, rule, running_mean, running_var, y, mean, rstd);
  for_float("batch_norm", x.dtype, [&](auto type) {
    using T = decltype(type);
    if (x.shape.count() == 0) return;
    const double count = static_cast<double>(sizes.per_channel());
    double *sums = workspace_.take<double>(2 * sizes.channels), *squares = sums + sizes.channels;
    const auto update = [&](const Out& running, std::int64_t c, double value) {
      if (running) running.as<T>()[c] = static_cast<T>((1 - rule.momentum) * running.as<T>()[c] + rule.momentum * value);
    };
    for_channels<T>(pool_, sizes, 1, [&](const Channels<T>& channels) {
      channels.sum(sums, [&](std::int64_t, std::int64_t i) { return x.as<T>()[i]; });
      for (std::int64_t c = channels.begin; c < channels.end; ++c) mean.as<T>()[c] = static_cast<T>(sums[c] / count);
      channels.sum(squares, [&](std::int64_t c, std::int64_t i) {
        const T distance = x.as<T>()[i] - mean.as<T>()[c];
        return distance * distance;
      });
      for (std::int64_t c = channels.begin; c < channels.end; ++c) {
        rstd.as<T>()[c] = static_cast<T>(1 / std::sqrt(squares[c] / count + rule.epsilon));
        update(running_mean, c, sums[c] / count);
        update(running_var, c, squares[c] / (count - 1));
      }
      channels.each_plane([&](std::int64_t c, std::int64_t first) {
        const Scale<T> scale{mean.as<T>()[c], rstd.as<T>()[c] * gamma.as<T>()[c], beta.as<T>()[c]};
        normalise(x.as<T>() + first, sizes.plane, scale, rule.relu, y.as<T>() + first);
      });
    });
  });
}

void CpuBackend::batch_norm_inference(const In& x, const In& gamma, const In& beta, const In& running_mean,
                                      const In& running_var, double epsilon, bool relu, const Out& y) {
  const auto seen = check::batch_norm_inference(*this, x, gamma, beta, running_mean, running_var, y);
  const check::ChannelSizes& sizes = seen.sizes;
  if (x.layout == Layout::lanes16)
    return batch_norm_lanes_inference(pool_, x, gamma, beta, running_mean, running_var, epsilon, relu, y);
  for_float("batch_norm_inference", x.dtype, [&](auto type) {
    using T = decltype(type);
    if (x.shape.count() == 0) return;
    for_channels<T>(pool_, sizes, 0.3, [&](const Channels<T>& channels) {
      channels.each_plane([&](std::int64_t c, std::int64_t first) {
        const T rstd = T(1) / std::sqrt(running_var.as<T>()[c] + static_cast<T>(epsilon));
        const Scale<T> scale{running_mean.as<T>()[c], rstd * gamma.as<T>()[c], beta.as<T>()[c]};
        normalise(x.as<T>() + first, sizes.plane, scale, relu, y.as<T>() + first);
      });
    });
  });
}

void CpuBackend::batch_norm_backward(const In& x, const In& gamma, const In& beta, const In& mean, const In& rstd,
                                     const In& dy, const Out& dx, const Out& dgamma, const Out& dbeta) {
  const auto seen = check::batch_norm_backward(*this, x, gamma, beta, mean, rstd, dy, dx, dgamma, dbeta);
  const check::ChannelSizes& sizes = seen.sizes;
  if (x.layout == Layout::lanes16 && x.shape.count() > 0)
    return batch_norm_lanes_backward(pool_, x, gamma, beta, mean, rstd, dy, dx, dgamma, dbeta);
  for_float("batch_norm_backward", x.dtype, [&](auto type) {
    using T = decltype(type);
    if (x.shape.count() == 0) {
      std::fill_n(dgamma.as<T>(), sizes.channels, T(0));
      std::fill_n(dbeta.as<T>(), sizes.channels, T(0));
      return;
    }
    const double count = static_cast<double>(sizes.per_channel());
    double *sums = workspace_.take<double>(2 * sizes.channels), *slopes = sums + sizes.channels;
    // dy where the output was above 0.
    const auto cotangent = [&](std::int64_t c, std::int64_t i) {
      const T g = dy.as<T>()[i];
      if (!beta) return g;
      const Scale<T> scale{mean.as<T>()[c], rstd.as<T>()[c] * gamma.as<T>()[c], beta.as<T>()[c]};
      return scale(x.as<T>()[i]) > T(0) ? g : T(0);
    };
    const auto normalised = [&](std::int64_t c, std::int64_t i) {
      return (x.as<T>()[i] - mean.as<T>()[c]) * rstd.as<T>()[c];
    };
    for_channels<T>(pool_, sizes, 1.5, [&](const Channels<T>& channels) {
      channels.sum(sums, cotangent);
      channels.sum(slopes, [&](std::int64_t c, std::int64_t i) { return cotangent(c, i) * normalised(c, i); });
      for (std::int64_t c = channels.begin; c < channels.end; ++c) {
        dbeta.as<T>()[c] = static_cast<T>(sums[c]);
        dgamma.as<T>()[c] = static_cast<T>(slopes[c]);
      }
      channels.each_plane([&](std::int64_t c, std::int64_t first) {
        const T centre = static_cast<T>(sums[c] / count), slope = static_cast<T>(slopes[c] / count);
        const T factor = gamma.as<T>()[c] * rstd.as<T>()[c];
        for (std::int64_t i = first; i < first + sizes.plane; ++i)
          dx.as<T>()[i] = factor * (cotangent(c, i) - centre - normalised(c, i) * slope);
      });
    });
  });
}

}  // namespace alma
