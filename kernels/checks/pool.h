#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

/// images [n, c, h, w] and pooled [n, c, oh, ow]; planes = n * c.
struct PoolSizes {
  std::int64_t planes, h, w, oh, ow;
};

inline PoolSizes windows(const char* op, const In& images, const char* name, const In& pooled, const Out& place,
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

inline Checked<PoolSizes> max_pool(Backend& backend, const In& x, const PoolWindow& window, const Out& y, const Out& place) {
  return {windows("max_pool", x, "y", y, place, window), {backend, "max_pool", x, y, place}};
}

inline Checked<PoolSizes> max_pool_backward(Backend& backend, const In& dy, const In& place, const PoolWindow& window,
                                            const Out& dx) {
  const PoolSizes sizes = windows("max_pool_backward", dx, "dy", dy, {}, window);
  array("max_pool_backward", "place", place, DType::u8, dy.shape, dx.layout);
  return {sizes, {backend, "max_pool_backward", dy, place, dx}};
}

/// Both `images` [n, c, h, w] and `pooled` [n, c, oh, ow] have rows and columns.
inline PoolSizes adaptive_windows(const char* op, const char* images_name, const In& images, const char* pooled_name,
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

inline Checked<PoolSizes> adaptive_average_pool(Backend& backend, const In& x, const Out& y) {
  const char* op = "adaptive_average_pool";
  return {adaptive_windows(op, "x", x, "y", y), {backend, op, x, y}};
}

inline Checked<PoolSizes> adaptive_average_pool_backward(Backend& backend, const In& dy, const Out& dx) {
  const char* op = "adaptive_average_pool_backward";
  return {adaptive_windows(op, "dx", dx, "dy", dy), {backend, op, dy, dx}};
}

}  // namespace alma::check
