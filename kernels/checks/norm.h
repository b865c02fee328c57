#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

inline void rows_and_scale(const char* op, const In& x, const In& gamma) {
  rank(op, "x", x, 2);
  filled_rows(op, x);
  array(op, "gamma", gamma, x.dtype, {x.shape[1]});
}

inline Observed layer_norm(Backend& backend, const In& x, const In& gamma, const In& beta, const Out& y, const Out& mean,
                           const Out& rstd) {
  const char* op = "layer_norm";
  rows_and_scale(op, x, gamma);
  array(op, "beta", beta, x.dtype, gamma.shape);
  array(op, "y", y, x.dtype, x.shape);
  if (mean || rstd) {
    array(op, "mean", mean, x.dtype, {x.shape[0]});
    array(op, "rstd", rstd, x.dtype, {x.shape[0]});
  }
  return {backend, op, x, gamma, beta, y, mean, rstd};
}

inline Observed layer_norm_backward(Backend& backend, const In& x, const In& gamma, const In& mean, const In& rstd,
                                    const In& dy, const Out& dx, const Out& dgamma, const Out& dbeta) {
  const char* op = "layer_norm_backward";
  rows_and_scale(op, x, gamma);
  array(op, "mean", mean, x.dtype, {x.shape[0]});
  array(op, "rstd", rstd, x.dtype, {x.shape[0]});
  array(op, "dy", dy, x.dtype, x.shape);
  array(op, "dx", dx, x.dtype, x.shape);
  array(op, "dgamma", dgamma, x.dtype, gamma.shape);
  array(op, "dbeta", dbeta, x.dtype, gamma.shape);
  return {backend, op, x, gamma, mean, rstd, dy, dx, dgamma, dbeta};
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

inline Checked<ChannelSizes> batch_norm(Backend& backend, const In& x, const In& gamma, const In& beta,
                                        const Out& running_mean, const Out& running_var, const Out& y, const Out& mean,
                                        const Out& rstd) {
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
  return {sizes, {backend, op, x, gamma, beta, running_mean, running_var, y, mean, rstd}};
}

inline Checked<ChannelSizes> batch_norm_inference(Backend& backend, const In& x, const In& gamma, const In& beta,
                                                  const In& running_mean, const In& running_var, const Out& y) {
  const char* op = "batch_norm_inference";
  const ChannelSizes sizes = channels(op, x);
  const Shape per_channel{sizes.channels};
  array(op, "gamma", gamma, x.dtype, per_channel);
  array(op, "beta", beta, x.dtype, per_channel);
  array(op, "running_mean", running_mean, x.dtype, per_channel);
  array(op, "running_var", running_var, x.dtype, per_channel);
  array(op, "y", y, x.dtype, x.shape, x.layout);
  return {sizes, {backend, op, x, gamma, beta, running_mean, running_var, y}};
}

inline Checked<ChannelSizes> batch_norm_backward(Backend& backend, const In& x, const In& gamma, const In& beta,
                                                 const In& mean, const In& rstd, const In& dy, const Out& dx,
                                                 const Out& dgamma, const Out& dbeta) {
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
  return {sizes, {backend, op, x, gamma, beta, mean, rstd, dy, dx, dgamma, dbeta}};
}

}  // namespace alma::check
