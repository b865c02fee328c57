#include "alma/learn/image_samples.h"

#include <algorithm>

namespace alma {

ImageSamples::ImageSamples(DeviceImages images, std::int64_t classes, const ImageAugmentation& augmentation)
    : images_(std::move(images)), classes_(classes), augmentation_(augmentation) {}

Batch ImageSamples::batch(const Tensor& indices, const Draw& draw) const {
  if (!augmentation_ || draw.members.empty()) return batch_of_images(images_, indices);
  std::vector<ImageAugmentation> members(draw.members.size(), augmentation_);
  for (std::size_t i = 0; i < members.size(); ++i) members[i].place = draw.members[i];
  return batch_of_images(images_, indices, members);
}

Tensor ImageSamples::example(Context& context) const { return Tensor::zeros(context, {1, features()}, DType::f32); }

// 1.6 MB of floats, 512 images of MNIST or 128 of CIFAR-10, stay in a second-level cache and fill a GPU; the activations of
// larger batches would be the most memory that a run needs.
std::int64_t ImageSamples::evaluation_batch() const {
  constexpr std::int64_t values = 512 * 28 * 28, vector_lanes = 16;
  return std::max(values / features() / vector_lanes * vector_lanes, vector_lanes);
}

static_assert(kMostChannels == PixelScale::max_channels, "what readers let through is what the kernels take");

DeviceImages upload_images(Context& context, const ImageSet& set, const std::vector<float>& mean,
                           const std::vector<float>& std) {
  return {Tensor::from(context, {set.count(), set.channels, set.height, set.width}, set.pixels),
          Tensor::from(context, {set.count()}, set.labels), normalisation(mean, std)};
}

std::shared_ptr<const Samples> upload_samples(Context& context, const ImageSet& set, const std::vector<float>& mean,
                                              const std::vector<float>& std, const ImageAugmentation& augmentation) {
  return std::make_shared<ImageSamples>(upload_images(context, set, mean, std), set.classes, augmentation);
}

}  // namespace alma
