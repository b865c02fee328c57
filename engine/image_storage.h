#pragma once
#include "engine/tensor.h"

namespace alma {

/// What stands behind layout image_rows: row i is pixels[indices[i]].
struct ImageStorage : Storage {
  ImageStorage(Tensor pixels_of_all, Tensor labels_of_all, Tensor rows, const PixelScale& pixel_scale)
      : Storage(rows.context(), 0),
        pixels(std::move(pixels_of_all)),
        labels(std::move(labels_of_all)),
        indices(std::move(rows)),
        scale(pixel_scale) {}

  Tensor pixels;   // u8 [count, 1, height, width]
  Tensor labels;   // i32 [count]
  Tensor indices;  // i32 [n]
  PixelScale scale;
  Tensor dense;  // row-major, once an op has asked for it
};

}  // namespace alma
