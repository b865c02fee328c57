#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

inline Observed gather_images(Backend& backend, const In& images, const In& labels, const In& indices, const Out& x,
                              const Out& y, const ImageAugmentation& augmentation) {
  const char* op = "gather_images";
  rank(op, "images", images, 4);
  const Shape& s = images.shape;
  array(op, "images", images, DType::u8, s);
  if (s[1] > PixelScale::max_channels) fail("[", op, "] at most ", PixelScale::max_channels, " channels, got images ", s);
  array(op, "labels", labels, DType::i32, {s[0]});
  rank(op, "indices", indices, 1);
  array(op, "indices", indices, DType::i32, indices.shape);
  const std::int64_t n = indices.shape[0];
  array(op, "x", x, x.dtype, x.shape.rank() == 2 ? Shape{n, s[1] * s[2] * s[3]} : Shape{n, s[1], s[2], s[3]},
        check::images(op, "x", x));
  array(op, "y", y, DType::i32, {n});
  if (augmentation.pad < 0 || augmentation.pad > 1024)
    fail("[", op, "] the padding of an augmentation must be in 0..1024, got ", augmentation.pad);
  if (augmentation) random_place(op, augmentation.place);
  return {backend, op, images, labels, indices, x, y};
}

/// rows [m, n] go with indices [m] and table [r, n]: gather_rows and scatter_add_rows.
inline void table_rows(const char* op, const In& table, const In& indices, const char* name, const In& rows) {
  rank(op, "table", table, 2);
  rank(op, "indices", indices, 1);
  array(op, "indices", indices, DType::i32, indices.shape);
  array(op, name, rows, table.dtype, {indices.shape[0], table.shape[1]});
}

inline Observed gather_rows(Backend& backend, const In& table, const In& indices, const Out& y) {
  table_rows("gather_rows", table, indices, "y", y);
  return {backend, "gather_rows", table, indices, y};
}

inline Observed scatter_add_rows(Backend& backend, const In& dy, const In& indices, const Out& table) {
  table_rows("scatter_add_rows", table, indices, "dy", dy);
  return {backend, "scatter_add_rows", dy, indices, table};
}

}  // namespace alma::check
