#include "engine/ops_images.h"

#include "engine/image_storage.h"
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

namespace {

void check(const char* op, const DeviceImages& images, const Tensor& indices) {
  require_rank(op, "pixels", images.pixels, 4);
  require_dtype(op, "pixels", images.pixels, DType::u8);
  require_shape(op, "labels", images.labels, {images.pixels.dim(0)});
  require_rank(op, "indices", indices, 1);
  require_dtype(op, "indices", indices, DType::i32);
}

// Without the cost.
Batch gather(const DeviceImages& images, const Tensor& indices, DType dtype) {
  check("gather_images", images, indices);
  Context& context = indices.context();
  const std::int64_t n = indices.dim(0), features = images.pixels.dim(1) * images.pixels.dim(2) * images.pixels.dim(3);
  Batch batch{Tensor::empty(context, {n, features}, dtype), Tensor::empty(context, {n}, DType::i32)};
  context.backend().gather_images(images.pixels, images.labels, indices, images.scale, batch.x.out(), batch.y.out());
  return batch;
}

Count gathered_bytes(const Tensor& indices, const Batch& batch) {
  return bytes_of(indices, batch.x, batch.y, batch.y) + static_cast<Count>(batch.x.count());
}

}  // namespace

Batch gather_images(const DeviceImages& images, const Tensor& indices, DType dtype) {
  Batch batch = gather(images, indices, dtype);
  indices.context().add_cost({0, 2 * static_cast<Count>(batch.x.count()), gathered_bytes(indices, batch)});
  return batch;
}

Batch batch_of_images(const DeviceImages& images, const Tensor& indices) {
  check("batch_of_images", images, indices);
  Context& context = indices.context();
  if (images.pixels.dim(1) != 1 || context.backend().most_image_outputs() == 0) return gather_images(images, indices);
  const std::int64_t count = images.pixels.dim(0), n = indices.dim(0);
  const Tensor y = Tensor::empty(context, {n}, DType::i32);
  context.backend().gather_rows(images.labels.view({count, 1}), indices, y.view({n, 1}).out());
  context.add_cost({0, 0, bytes_of(indices, y, y)});
  return {Tensor(std::make_shared<ImageStorage>(images.pixels, images.labels, indices, images.scale)), y};
}

Tensor dense(const Tensor& x) {
  if (x.layout() != Layout::image_rows) return x;
  ImageStorage& images = x.images();
  if (images.dense.defined()) return images.dense;
  const Batch batch = gather({images.pixels, images.labels, images.scale}, images.indices, DType::f32);
  // No FLOPs: what a training step costs does not depend on whether its device normalises pixels apart.
  images.indices.context().add_cost({0, 0, gathered_bytes(images.indices, batch)});
  images.dense = batch.x;
  return images.dense;
}

}  // namespace alma
