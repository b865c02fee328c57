#pragma once
#include "kernels/checks.h"

/// The argument checks of normalisation and pooling.
namespace alma::check {

inline void layer_norm(const char* op, const In& x, const In& gamma) {
  rank(op, "x", x, 2);
  softmax(op, x);
  array(op, "gamma", gamma, x.dtype, {x.shape[1]});
}

inline void layer_norm(const In& x, const In& gamma, const In& beta, const Out& y, const Out& mean, const Out& rstd) {
  const char* op = "layer_norm";
  layer_norm(op, x, gamma);
  array(op, "beta", beta, x.dtype, gamma.shape);
  array(op, "y", y, x.dtype, x.shape);
  if (!mean && !rstd) return;
  array(op, "mean", mean, x.dtype, {x.shape[0]});
  array(op, "rstd", rstd, x.dtype, {x.shape[0]});
}

inline void layer_norm_backward(const In& x, const In& gamma, const In& mean, const In& rstd, const In& dy, const Out& dx,
                                const Out& dgamma, const Out& dbeta) {
  const char* op = "layer_norm_backward";
  layer_norm(op, x, gamma);
  array(op, "mean", mean, x.dtype, {x.shape[0]});
  array(op, "rstd", rstd, x.dtype, {x.shape[0]});
  array(op, "dy", dy, x.dtype, x.shape);
  array(op, "dx", dx, x.dtype, x.shape);
  array(op, "dgamma", dgamma, x.dtype, gamma.shape);
  array(op, "dbeta", dbeta, x.dtype, gamma.shape);
}

/// x [n, c, h, w] or [n, c] (h = w = 1): n images of c channels, `plane` elements of each.
struct ChannelSizes {
  std::int64_t images, channels, plane;
  std::int64_t per_channel() const { return images * plane; }
};

inline ChannelSizes channels(const char* op, const In& x) {
  const Shape& s = x.shape;
  if (s.rank() != 2 && s.rank() != 4) fail("[", op, "] x must be [n, c] or [n, c, h, w], got ", s);
  array(op, "x", x, x.dtype, s, images(op, "x", x));
  return {s[0], s[1], s.rank() == 2 ? 1 : s[2] * s[3]};
}

inline ChannelSizes batch_norm(const In& x, const In& gamma, const In& beta, const Out& running_mean, const Out& running_var,
                               const Out& y, const Out& mean, const Out& rstd) {
  const char* op = "batch_norm";
  const ChannelSizes sizes = channels(op, x);
  if (sizes.per_channel() == 1)
    fail("[", op, "] training needs more than one value per channel (their unbiased variance), got x ", x.shape);
  const Shape per_channel{sizes.channels};
  array(op, "gamma", gamma, x.dtype, per_channel);
  array(op, "beta", beta, x.dtype, per_channel);
  if (running_mean || running_var) {
    array(op, "running_mean", running_mean, x.dtype, per_channel);
    array(op, "running_var", running_var, x.dtype, per_channel);
  }
  array(op, "y", y, x.dtype, x.shape, x.layout);
  array(op, "mean", mean, x.dtype, per_channel);
  array(op, "rstd", rstd, x.dtype, per_channel);
  return sizes;
}

inline ChannelSizes batch_norm_inference(const In& x, const In& gamma, const In& beta, const In& running_mean,
                                         const In& running_var, const Out& y) {
  const char* op = "batch_norm_inference";
  const ChannelSizes sizes = channels(op, x);
  const Shape per_channel{sizes.channels};
  array(op, "gamma", gamma, x.dtype, per_channel);
  array(op, "beta", beta, x.dtype, per_channel);
  array(op, "running_mean", running_mean, x.dtype, per_channel);
  array(op, "running_var", running_var, x.dtype, per_channel);
  array(op, "y", y, x.dtype, x.shape, x.layout);
  return sizes;
}

inline ChannelSizes batch_norm_backward(const In& x, const In& gamma, const In& beta, const In& mean, const In& rstd,
                                        const In& dy, const Out& dx, const Out& dgamma, const Out& dbeta) {
  const char* op = "batch_norm_backward";
  const ChannelSizes sizes = channels(op, x);
  const Shape per_channel{sizes.channels};
  array(op, "gamma", gamma, x.dtype, per_channel);
  if (beta) array(op, "beta", beta, x.dtype, per_channel);
  array(op, "mean", mean, x.dtype, per_channel);
  array(op, "rstd", rstd, x.dtype, per_channel);
  array(op, "dy", dy, x.dtype, x.shape, x.layout);
  array(op, "dx", dx, x.dtype, x.shape, x.layout);
  array(op, "dgamma", dgamma, x.dtype, per_channel);
  array(op, "dbeta", dbeta, x.dtype, per_channel);
  return sizes;
}

/// images [n, c, h, w] and pooled [n, c, oh, ow]; planes = n * c.
struct PoolSizes {
  std::int64_t planes, h, w, oh, ow;
};

inline PoolSizes max_pool(const char* op, const In& images, const char* name, const In& pooled, const Out& place,
                          const PoolWindow& window) {
  const char* images_name = name[0] == 'y' ? "x" : "dx";
  rank(op, images_name, images, 4, check::images(op, images_name, images));
  const Shape& s = images.shape;
  if (window.height < 1 || window.width < 1 || window.stride < 1 || window.height > s[2] || window.width > s[3] ||
      window.height * window.width > 256)
    fail("[", op, "] windows of 1 to 256 elements, no larger than ", s, ", and strides from 1, got ", window.height, " x ",
         window.width, ", stride ", window.stride);
  const PoolSizes sizes{s[0] * s[1], s[2], s[3], (s[2] - window.height) / window.stride + 1,
                        (s[3] - window.width) / window.stride + 1};
  const Shape expected{s[0], s[1], sizes.oh, sizes.ow};
  array(op, name, pooled, images.dtype, expected, images.layout);
  if (place) array(op, "place", place, DType::u8, expected, images.layout);
  return sizes;
}

inline PoolSizes max_pool(const In& x, const PoolWindow& window, const Out& y, const Out& place) {
  return max_pool("max_pool", x, "y", y, place, window);
}

inline PoolSizes max_pool_backward(const In& dy, const In& place, const PoolWindow& window, const Out& dx) {
  const PoolSizes sizes = max_pool("max_pool_backward", dx, "dy", dy, {}, window);
  array("max_pool_backward", "place", place, DType::u8, dy.shape, dx.layout);
  return sizes;
}

/// Both `images` [n, c, h, w] and `pooled` [n, c, oh, ow] have rows and columns.
inline PoolSizes adaptive_average_pool(const char* op, const char* images_name, const In& images, const char* pooled_name,
                                       const In& pooled) {
  const Layout layout = check::images(op, images_name, images);
  rank(op, images_name, images, 4, layout);
  rank(op, pooled_name, pooled, 4);
  const Shape &x = images.shape, &y = pooled.shape;
  if (x[2] < 1 || x[3] < 1 || y[2] < 1 || y[3] < 1) fail("[", op, "] planes must have elements, got ", x, " and ", y);
  array(op, images_name, images, images.dtype, x, layout);
  array(op, pooled_name, pooled, images.dtype, {x[0], x[1], y[2], y[3]});
  return {x[0] * x[1], x[2], x[3], y[2], y[3]};
}

}  // namespace alma::check
