#pragma once
#include <span>

#include "engine/batch.h"

namespace alma {

/// The images of a data set on the device: u8 pixels and labels, uploaded once.
struct DeviceImages {
  Tensor pixels;     // u8 [count, channels, height, width]
  Tensor labels;     // i32 [count]
  PixelScale scale;  // (p / 255 - mean) / std per channel, as scale and shift of p
};

/// The scale that normalises u8 pixels by the mean and standard deviation of pixels / 255 of each channel (1 to 4).
PixelScale normalisation(std::span<const float> mean, std::span<const float> std);

/// A mini-batch of normalised images, row-major: x f32 or f64 [n, channels * height * width], y the labels [n]. indices [n]
/// i32, each in [0, count); not differentiable.
Batch gather_images(const DeviceImages& images, const Tensor& indices, DType dtype = DType::f32,
                    const ImageAugmentation& augmentation = {});

/// The same mini-batch for a model, f32, with an optional augmentation. If the device multiplies u8 images directly, or
/// has an image layout of its own (cpu), the floats are deferred: linear() takes x without them; other ops call
/// dense(x) or images_of(x).
Batch batch_of_images(const DeviceImages& images, const Tensor& indices, const ImageAugmentation& augmentation = {});

/// The mini-batches of a stack of k members, row-major: indices [k n], those of one member after those of another, and an
/// augmentation for each member; these differ only in their random places. Costs as much as k mini-batches.
Batch batch_of_images(const DeviceImages& images, const Tensor& indices, std::span<const ImageAugmentation> members);

/// x [n, channels * height * width], or [n, channels, height, width], as images [n, channels, height, width] for
/// convolutions: f32 in the layout that the device prefers, computed once if deferred; f64 row-major. Not differentiable.
/// Throws Error if x has other sizes.
Tensor images_of(const Tensor& x, std::int64_t channels, std::int64_t height, std::int64_t width);

/// The rows of x, or its images, that `indices` (i32 [m]) select, in the layout of x; deferred images stay deferred unless
/// they are augmented. Gradients of equal indices add up, in order.
Tensor select_rows(const Tensor& x, const Tensor& indices);

}  // namespace alma
