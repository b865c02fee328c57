#include "engine/ops_images.h"

#include "engine/ops_check.h"

namespace alma {

PixelScale normalisation(std::span<const float> mean, std::span<const float> std) {
  if (mean.size() != std.size() || mean.empty() || mean.size() > PixelScale::max_channels)
    fail("[normalisation] one mean and one std per channel, 1 to 4 channels, got ", mean.size(), " and ", std.size());
  PixelScale pixels;
  for (std::size_t c = 0; c < mean.size(); ++c) {
    pixels.scale[c] = static_cast<float>(1.0 / (255.0 * std[c]));
    pixels.shift[c] = static_cast<float>(-static_cast<double>(mean[c]) / std[c]);
  }
  return pixels;
}

Batch gather_images(const DeviceImages& images, const Tensor& indices, DType dtype) {
  require_rank("gather_images", "pixels", images.pixels, 4);
  require_dtype("gather_images", "pixels", images.pixels, DType::u8);
  require_shape("gather_images", "labels", images.labels, {images.pixels.dim(0)});
  require_rank("gather_images", "indices", indices, 1);
  require_dtype("gather_images", "indices", indices, DType::i32);
  Context& context = indices.context();
  const std::int64_t n = indices.dim(0), features = images.pixels.dim(1) * images.pixels.dim(2) * images.pixels.dim(3);
  Batch batch{Tensor::empty(context, {n, features}, dtype), Tensor::empty(context, {n}, DType::i32)};
  context.backend().gather_images(images.pixels, images.labels, indices, images.scale, batch.x.out(), batch.y.out());
  context.add_cost({0, 2 * static_cast<Count>(batch.x.count()),
                    bytes_of(indices, batch.x, batch.y, batch.y) + static_cast<Count>(n * features)});
  return batch;
}

}  // namespace alma
