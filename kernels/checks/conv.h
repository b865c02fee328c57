#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

/// x, w and y of a convolution, or their gradients, with the names that the primitive gives them.
struct ConvArrays {
  const In &x, &w, &y;
  const char *x_name, *w_name, *y_name;
  In bias = {};
  const char* bias_name = "";
};

inline void convolution(const char* op, const ConvArrays& a, const ConvGeometry& g, Math math) {
  const Layout images = check::images(op, a.x_name, a.x);
  rank(op, a.x_name, a.x, 4, images);
  rank(op, a.w_name, a.w, 4);
  rank(op, a.y_name, a.y, 4, images);
  if (g.stride_h < 1 || g.stride_w < 1 || g.padding_h < 0 || g.padding_w < 0 || g.groups < 1)
    fail("[", op, "] strides and groups are at least 1, paddings at least 0, got strides ", g.stride_h, " and ", g.stride_w,
         ", paddings ", g.padding_h, " and ", g.padding_w, ", ", g.groups, " groups");
  const Shape &x = a.x.shape, &w = a.w.shape;
  if (x[1] % g.groups != 0 || w[0] % g.groups != 0)
    fail("[", op, "] ", g.groups, " groups must divide the channels of ", a.x_name, " ", x, ", ", a.w_name, " ", w);
  array(op, a.x_name, a.x, a.x.dtype, x, images);
  array(op, a.w_name, a.w, a.x.dtype, {w[0], x[1] / g.groups, w[2], w[3]});
  if (a.bias) array(op, a.bias_name, a.bias, a.x.dtype, {w[0]});
  const std::int64_t h = x[2] + 2 * g.padding_h - w[2], width = x[3] + 2 * g.padding_w - w[3];
  if (w[2] < 1 || w[3] < 1 || h < 0 || width < 0)
    fail("[", op, "] ", a.w_name, " ", w, " does not fit into the padded ", a.x_name, " ", x);
  array(op, a.y_name, a.y, a.x.dtype, {x[0], w[0], h / g.stride_h + 1, width / g.stride_w + 1}, images);
  const bool plain = g.stride_h == 1 && g.stride_w == 1 && g.groups == 1 && w[2] == w[3];
  if (images == Layout::lanes16 &&
      !(plain && g.padding_h == g.padding_w && ((w[2] == 3 && g.padding_h == 1) || (w[2] == 1 && g.padding_h == 0))))
    fail("[", op, "] in lanes16: 3 x 3 with padding 1 or 1 x 1 without, stride 1, 1 group, got ", a.w_name, " ", w,
         ", strides ", g.stride_h, " and ", g.stride_w, ", paddings ", g.padding_h, " and ", g.padding_w, ", ", g.groups,
         " groups");
  if ((a.x.dtype == DType::bf16) != (math == Math::bf16) || (math == Math::tf32 && a.x.dtype != DType::f32))
    fail("[", op, "] math ", name_of(math), " does not go with operands in ", a.x.dtype);
}

inline Observed conv2d(Backend& backend, const In& x, const In& w, const In& bias, const ConvGeometry& geometry,
                       const Out& y, Math math) {
  convolution("conv2d", {x, w, y, "x", "w", "y", bias, "bias"}, geometry, math);
  return {backend, "conv2d", x, w, y};
}

inline Observed conv2d_data_gradient(Backend& backend, const In& dy, const In& w, const ConvGeometry& geometry,
                                     const Out& dx, Math math) {
  convolution("conv2d_data_gradient", {dx, w, dy, "dx", "w", "dy"}, geometry, math);
  return {backend, "conv2d_data_gradient", dy, w, dx};
}

inline Observed conv2d_weight_gradient(Backend& backend, const In& x, const In& dy, const ConvGeometry& geometry,
                                       const Out& dw, const Out& dbias, Math math) {
  convolution("conv2d_weight_gradient", {x, dw, dy, "x", "dw", "dy", dbias, "dbias"}, geometry, math);
  return {backend, "conv2d_weight_gradient", x, dy, dw};
}

}  // namespace alma::check
