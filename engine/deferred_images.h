#pragma once
#include "engine/tensor.h"

namespace alma {

/// The source of a mini-batch of images whose floats are not computed yet: row i is pixels[indices[i]],
/// normalised and augmented.
class DeferredImages final : public Deferred {
 public:
  DeferredImages(Tensor pixels_of_all, Tensor labels_of_all, Tensor rows, const PixelScale& pixel_scale,
                 const ImageAugmentation& image_augmentation)
      : Deferred(rows.context()),
        pixels(std::move(pixels_of_all)),
        labels(std::move(labels_of_all)),
        indices(std::move(rows)),
        scale(pixel_scale),
        augmentation(image_augmentation) {}

  const Tensor& dense() override;
  /// The images [n, channels, height, width] in the device's image layout; computed once.
  const Tensor& images();
  /// The rows for primitives that normalise pixels as they read them.
  ImageRows rows() const { return {pixels, indices, scale}; }

  const Tensor pixels;   // u8 [count, channels, height, width]
  const Tensor labels;   // i32 [count]
  const Tensor indices;  // i32 [n]
  const PixelScale scale;
  const ImageAugmentation augmentation;

 private:
  Tensor gather(const Shape& shape, Layout layout) const;
  Tensor dense_, images_;  // undefined until first requested
};

/// The deferred images of x; null if x is not of that kind.
inline DeferredImages* deferred_images(const Tensor& x) { return dynamic_cast<DeferredImages*>(x.source()); }

}  // namespace alma
