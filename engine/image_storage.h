#pragma once
#include "engine/tensor.h"

namespace alma {

/// What stands behind layout image_rows: row i is pixels[indices[i]], augmented.
struct ImageStorage : Storage {
  ImageStorage(Tensor pixels_of_all, Tensor labels_of_all, Tensor rows, const PixelScale& pixel_scale,
               const ImageAugmentation& image_augmentation)
      : Storage(rows.context(), 0),
        pixels(std::move(pixels_of_all)),
        labels(std::move(labels_of_all)),
        indices(std::move(rows)),
        scale(pixel_scale),
        augmentation(image_augmentation) {}

  Tensor pixels;   // u8 [count, channels, height, width]
  Tensor labels;   // i32 [count]
  Tensor indices;  // i32 [n]
  PixelScale scale;
  ImageAugmentation augmentation;
  Tensor dense;   // row-major, once an op has asked for it
  Tensor images;  // [n, channels, height, width] in the device's image layout, likewise
};

}  // namespace alma
