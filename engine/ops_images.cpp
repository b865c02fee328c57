#include "engine/ops_images.h"

#include "engine/deferred_images.h"
#include "engine/ops_check.h"
#include "engine/ops_conv.h"
#include "engine/ops_shape.h"

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

// Uninitialised. `shape` of x: [n, features] or [n, channels, height, width].
Batch empty_batch(Context& context, const Shape& shape, DType dtype, Layout layout = Layout::row_major) {
  return {Tensor::empty(context, shape, dtype, layout), Tensor::empty(context, {shape[0]}, DType::i32)};
}

// Without the cost.
void gather_into(const Batch& batch, const DeviceImages& images, const Tensor& indices,
                 const ImageAugmentation& augmentation) {
  indices.backend().gather_images(images.pixels, images.labels, indices, images.scale, batch.x.out(), batch.y.out(),
                                  augmentation);
}

Shape rows_of(const Tensor& pixels, const Tensor& indices) {
  return {indices.dim(0), pixels.dim(1) * pixels.dim(2) * pixels.dim(3)};
}

Count gathered_bytes(const Tensor& indices, const Batch& batch) {
  return bytes_of(indices, batch.x, batch.y, batch.y) + static_cast<Count>(batch.x.count());
}

// Includes the cost of reading and normalising; each of equal parts of the indices has its augmentation.
Batch gather_eagerly(const DeviceImages& images, const Tensor& indices, std::span<const ImageAugmentation> augmentations,
                     DType dtype) {
  const Shape shape = rows_of(images.pixels, indices);
  const Batch batch = empty_batch(indices.context(), shape, dtype);
  const std::int64_t n = shape[0] / static_cast<std::int64_t>(augmentations.size());
  std::int64_t first = 0;
  for (const ImageAugmentation& augmentation : augmentations) {
    gather_into({batch.x.part(first * shape[1], {n, shape[1]}), batch.y.part(first, {n})}, images, indices.part(first, {n}),
                augmentation);
    first += n;
  }
  indices.context().add_cost({0, 2 * static_cast<Count>(batch.x.count()), gathered_bytes(indices, batch)});
  return batch;
}

}  // namespace

// No FLOPs: the cost of a training step does not depend on whether its device normalises pixels in a separate pass.
Tensor DeferredImages::gather(const Shape& shape, Layout layout) const {
  const Batch batch = empty_batch(indices.context(), shape, DType::f32, layout);
  gather_into(batch, {pixels, labels, scale}, indices, augmentation);
  indices.context().add_cost({0, 0, gathered_bytes(indices, batch)});
  return batch.x;
}

const Tensor& DeferredImages::dense() {
  if (!dense_.defined()) dense_ = gather(rows_of(pixels, indices), Layout::row_major);
  return dense_;
}

const Tensor& DeferredImages::images() {
  const Shape shape{indices.dim(0), pixels.dim(1), pixels.dim(2), pixels.dim(3)};
  if (!images_.defined()) images_ = gather(shape, indices.backend().image_layout());
  return images_;
}

Batch gather_images(const DeviceImages& images, const Tensor& indices, DType dtype, const ImageAugmentation& augmentation) {
  check("gather_images", images, indices);
  return gather_eagerly(images, indices, {&augmentation, 1}, dtype);
}

Batch batch_of_images(const DeviceImages& images, const Tensor& indices, const ImageAugmentation& augmentation) {
  check("batch_of_images", images, indices);
  Context& context = indices.context();
  if (context.backend().most_image_outputs() == 0 && context.backend().image_layout() == Layout::row_major)
    return gather_eagerly(images, indices, {&augmentation, 1}, DType::f32);
  const std::int64_t count = images.pixels.dim(0), n = indices.dim(0);
  const Tensor y = Tensor::empty(context, {n}, DType::i32);
  context.backend().gather_rows(images.labels.view({count, 1}), indices, y.view({n, 1}).out());
  context.add_cost({0, 0, bytes_of(indices, y, y)});
  auto floats = std::make_shared<DeferredImages>(images.pixels, images.labels, indices, images.scale, augmentation);
  return {Tensor::deferred(std::move(floats), rows_of(images.pixels, indices), DType::f32), y};
}

Batch batch_of_images(const DeviceImages& images, const Tensor& indices, std::span<const ImageAugmentation> members) {
  check("batch_of_images", images, indices);
  const auto k = static_cast<std::int64_t>(members.size());
  if (k == 0 || indices.dim(0) % k != 0)
    fail("[batch_of_images] ", indices.dim(0), " indices for a stack of ", k, " members");
  if (k == 1 || !members[0]) return batch_of_images(images, indices, members[0]);
  return gather_eagerly(images, indices, members, DType::f32);
}

Tensor images_of(const Tensor& x, std::int64_t channels, std::int64_t height, std::int64_t width) {
  const Shape shape{x.dim(0), channels, height, width};
  const auto wrong = [&](const Shape& found) {
    fail("[images_of] expected images of ", channels, " x ", height, " x ", width, ", got ", found);
  };
  if (DeferredImages* deferred = deferred_images(x)) {
    const Tensor& pixels = deferred->pixels;
    const Shape found{x.dim(0), pixels.dim(1), pixels.dim(2), pixels.dim(3)};
    if (found != shape) wrong(found);
    return deferred->images();
  }
  if (x.shape() != shape && x.shape() != Shape{x.dim(0), shape.count() / std::max<std::int64_t>(1, x.dim(0))})
    wrong(x.shape());
  const Tensor images = x.layout() == Layout::row_major ? x.view(shape) : x.detach();
  return to_layout(images, x.dtype() == DType::f32 ? x.backend().image_layout() : Layout::row_major);
}

Tensor select_rows(const Tensor& x, const Tensor& indices) {
  require_rank("select_rows", "indices", indices, 1);
  require_dtype("select_rows", "indices", indices, DType::i32);
  if (const DeferredImages* deferred = deferred_images(x); deferred != nullptr && !deferred->augmentation) {
    const std::int64_t n = x.dim(0), m = indices.dim(0);
    const Tensor rows = Tensor::empty(indices.context(), {m}, DType::i32);
    indices.backend().gather_rows(deferred->indices.view({n, 1}), indices, rows.view({m, 1}).out());
    indices.context().add_cost({0, 0, bytes_of(indices, rows, rows)});
    auto floats =
        std::make_shared<DeferredImages>(deferred->pixels, deferred->labels, rows, deferred->scale, deferred->augmentation);
    return Tensor::deferred(std::move(floats), rows_of(deferred->pixels, rows), DType::f32);
  }
  const Tensor all = dense(x);
  if (all.shape().rank() == 2) return gather(all, indices);
  require_rank("select_rows", "x", all, 4);
  const Tensor rows = gather(reshape(to_layout(all, Layout::row_major), {all.dim(0), all.count() / all.dim(0)}), indices);
  return to_layout(reshape(rows, {indices.dim(0), all.dim(1), all.dim(2), all.dim(3)}), all.layout());
}

}  // namespace alma
