#pragma once
#include <cstdint>

#include "data/images.h"

namespace alma {

/// What a synthetic image set is made of.
struct SyntheticImages {
  std::uint64_t seed = 0;
  std::int64_t train = 6000, test = 1000;  // images, each >= 1
  int channels = 1, height = 28, width = 28;
  int classes = 10;    // 1 .. 256
  double noise = 0.3;  // standard deviation of the noise of a pixel; prototypes span [0, 1]
};

/// Images made from a seed, for tests and examples that must not depend on a file. Every class has two smooth random
/// prototypes. An image is one of them, moved by up to a tenth of its size, overlaid by a fainter one of any other class,
/// under noise: learnable, but a linear classifier does not get all of it. Label i is i % classes. The same request gives
/// the same bytes, and image i does not depend on how many there are. Throws Error(ErrorKind::usage) for sizes out of range.
ImageData make_synthetic_images(const SyntheticImages& request);

}  // namespace alma
