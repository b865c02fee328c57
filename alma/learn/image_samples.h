#pragma once
#include <memory>
#include <vector>

#include "alma/learn/samples.h"
#include "data/images.h"
#include "engine/ops_images.h"

namespace alma {

/// Labelled images as flat rows of normalised pixels; their measure is the error.
class ImageSamples final : public Samples {
 public:
  /// `augmentation` is applied where a Draw is given; its random place is the Draw's.
  ImageSamples(DeviceImages images, std::int64_t classes, const ImageAugmentation& augmentation = {});
  std::int64_t count() const override { return images_.labels.count(); }
  std::int64_t classes() const override { return classes_; }
  Measure measure() const override { return Measure::error; }
  Batch batch(const Tensor& indices, const Draw& draw) const override;
  Tensor example(Context& context) const override;
  std::int64_t evaluation_batch() const override;

 private:
  std::int64_t features() const { return images_.pixels.dim(1) * images_.pixels.dim(2) * images_.pixels.dim(3); }

  DeviceImages images_;
  std::int64_t classes_;
  ImageAugmentation augmentation_;
};

/// Copies an image set to the device: pixels as bytes, labels, and the normalisation.
DeviceImages upload_images(Context& context, const ImageSet& set, const std::vector<float>& mean,
                           const std::vector<float>& std);
std::shared_ptr<const Samples> upload_samples(Context& context, const ImageSet& set, const std::vector<float>& mean,
                                              const std::vector<float>& std, const ImageAugmentation& augmentation = {});

}  // namespace alma
