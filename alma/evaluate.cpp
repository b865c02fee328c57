#include "alma/evaluate.h"

#include <algorithm>
#include <numeric>

#include "engine/autograd.h"
#include "engine/ops_loss.h"

namespace alma {

namespace {
// A batch of MNIST images is 1.6 MB as floats and stays in a second-level cache; on a GPU it fills the device.
constexpr std::int64_t kBatch = 512;
}  // namespace

DeviceImages upload_images(Context& context, const ImageSet& set, const std::vector<float>& mean,
                           const std::vector<float>& std) {
  return {Tensor::from(context, {set.count(), set.channels, set.height, set.width}, set.pixels),
          Tensor::from(context, {set.count()}, set.labels), normalisation(mean, std)};
}

Tensor all_indices(Context& context, std::int64_t count) {
  std::vector<std::int32_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), 0);
  return Tensor::from(context, {count}, indices);
}

Evaluation evaluate(const LogitsOf& logits_of, const DeviceImages& images, const Tensor& indices) {
  NoGrad off;
  const std::int64_t count = indices.dim(0), batches = (count + kBatch - 1) / kBatch;
  if (count == 0) return {};
  const Tensor losses = Tensor::empty(indices.context(), {batches}, DType::f32);
  const Tensor hits = Tensor::empty(indices.context(), {batches}, DType::i32);
  for (std::int64_t b = 0; b < batches; ++b) {
    const std::int64_t first = b * kBatch;
    const Batch batch = batch_of_images(images, indices.part(first, {std::min(kBatch, count - first)}));
    evaluate_cross_entropy(logits_of(batch.x), batch.y, losses.part(b, {}), hits.part(b, {}));
  }
  Evaluation result{count, 0, 0};
  for (std::int32_t n : hits.to_vector<std::int32_t>()) result.hits += n;
  for (float loss : losses.to_vector<float>()) result.loss_sum += static_cast<double>(loss);
  return result;
}

}  // namespace alma
