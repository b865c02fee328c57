#pragma once
#include "kernels/checks/arrays.h"

/// Products with a matrix of images that is not stored.
namespace alma::check {

struct ImageProductSizes {
  std::int64_t n, out, pixels;
};

/// rows [n, out] and weight [out, pixels] go with x.
inline ImageProductSizes image_product(const char* op, const ImageRows& x, const char* rows_name, const In& rows,
                                       const char* weight_name, const In& weight) {
  rank(op, "images", x.images, 4);
  const Shape& s = x.images.shape;
  array(op, "images", x.images, DType::u8, {s[0], 1, s[2], s[3]});
  rank(op, "indices", x.indices, 1);
  array(op, "indices", x.indices, DType::i32, x.indices.shape);
  rank(op, rows_name, rows, 2);
  const ImageProductSizes sizes{x.indices.shape[0], rows.shape[1], s[2] * s[3]};
  array(op, rows_name, rows, DType::f32, {sizes.n, sizes.out});
  array(op, weight_name, weight, DType::f32, {sizes.out, sizes.pixels});
  return sizes;
}

inline Checked<ImageProductSizes> matmul_images(Backend& backend, const ImageRows& x, const In& w, const Out& y,
                                                const Epilogue& epilogue) {
  const ImageProductSizes sizes = image_product("matmul_images", x, "y", y, "w", w);
  if (epilogue.bias) array("matmul_images", "bias", epilogue.bias, DType::f32, {sizes.out});
  if (epilogue.accumulate) fail("[matmul_images] does not accumulate");
  return {sizes, {backend, "matmul_images", x.indices, w, epilogue.bias, y}};
}

inline Checked<ImageProductSizes> matmul_images_gradient(Backend& backend, const In& dy, const ImageRows& x, const Out& dw) {
  const char* op = "matmul_images_gradient";
  return {image_product(op, x, "dy", dy, "dw", dw), {backend, op, dy, x.indices, dw}};
}

}  // namespace alma::check
