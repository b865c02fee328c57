#pragma once
#include "engine/autograd.h"

namespace alma {

/// What stands behind layout image_rows: row i is pixels[indices[i]].
struct Tensor::Images {
  Tensor pixels;   // u8 [count, 1, height, width]
  Tensor labels;   // i32 [count]
  Tensor indices;  // i32 [n]
  PixelScale scale;
  mutable Tensor dense;  // row-major, once an op has asked for it
};

struct Tensor::Impl {
  std::shared_ptr<Storage> storage;
  std::int64_t first = 0;  // element at which this tensor starts
  Shape shape;
  DType dtype = DType::f32;
  Layout layout = Layout::row_major;
  bool is_leaf = false;  // a gradient is wanted here
  bool is_one = false;
  std::shared_ptr<Node> node;  // the op that made it
  Tensor grad;
  std::shared_ptr<const Images> images;  // layout image_rows
};

}  // namespace alma
