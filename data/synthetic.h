#pragma once
#include <cstdint>

#include "data/images.h"

namespace alma {

/// The parameters of a synthetic image set.
struct SyntheticImages {
  std::uint64_t seed = 0;
  std::int64_t train = 6000, test = 1000;  // images, each >= 1
  int channels = 1, height = 28, width = 28;
  int classes = 10;    // 1 .. 256
  double noise = 0.3;  // standard deviation of the noise of a pixel; prototypes span [0, 1]
};

/// Images generated from a seed, for tests and examples that must not depend on a file. Every class has two smooth random
/// prototypes. An image is one of them, shifted by up to a tenth of its size, overlaid with a fainter prototype of another
/// class and with noise: learnable, but not completely by a linear classifier. Label i is i % classes. The same request
/// gives the same bytes, and image i does not depend on the number of images. Throws Error(ErrorKind::usage) for sizes out
/// of range.
ImageData make_synthetic_images(const SyntheticImages& request);

}  // namespace alma
