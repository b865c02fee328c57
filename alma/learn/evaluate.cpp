#include "alma/learn/evaluate.h"

#include <algorithm>
#include <numeric>

#include "engine/autograd.h"
#include "engine/ops_loss.h"
#include "engine/ops_shape.h"

namespace alma {

namespace {
// 1.6 MB of floats, 512 images of MNIST or 128 of CIFAR-10, stay in a second-level cache and fill a GPU; the activations of
// larger batches would be the most memory that a run needs.
std::int64_t batch_size_for(const Tensor& pixels) {
  constexpr std::int64_t values = 512 * 28 * 28, vector_lanes = 16;
  const std::int64_t image = pixels.dim(1) * pixels.dim(2) * pixels.dim(3);
  return std::max(values / image / vector_lanes * vector_lanes, vector_lanes);
}
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
  return evaluate_stack(logits_of, images, indices.view({1, indices.dim(0)}))[0];
}

std::vector<Evaluation> evaluate_stack(const LogitsOf& logits_of, const DeviceImages& images, const Tensor& indices) {
  NoGrad off;
  const std::int64_t batch_size = batch_size_for(images.pixels);
  const std::int64_t k = indices.dim(0), count = indices.dim(1), batches = (count + batch_size - 1) / batch_size;
  std::vector<Evaluation> results(static_cast<std::size_t>(k), Evaluation{count, 0, 0});
  if (count == 0) return results;
  const Tensor losses = Tensor::empty(indices.context(), {k, batches}, DType::f32);
  const Tensor hits = Tensor::empty(indices.context(), {k, batches}, DType::i32);
  for (std::int64_t b = 0; b < batches; ++b) {
    const std::int64_t first = b * batch_size, n = std::min(batch_size, count - first);
    const Batch batch =
        batch_of_images(images, k == 1 ? indices.part(first, {n}) : samples_of_stack(indices, first, first + n));
    const Tensor logits = logits_of(batch.x);
    for (std::int64_t m = 0; m < k; ++m)
      evaluate_cross_entropy(logits.part(m * n * logits.dim(1), {n, logits.dim(1)}), batch.y.part(m * n, {n}),
                             losses.part(m * batches + b, {}), hits.part(m * batches + b, {}));
  }
  const auto all_losses = losses.to_vector<float>();
  const auto all_hits = hits.to_vector<std::int32_t>();
  for (std::size_t i = 0; i < all_hits.size(); ++i) {
    Evaluation& result = results[i / static_cast<std::size_t>(batches)];
    result.hits += all_hits[i];
    result.loss_sum += static_cast<double>(all_losses[i]);
  }
  return results;
}

Tensor samples_of_stack(const Tensor& indices, std::int64_t first, std::int64_t last) {
  return slice(indices, 1, first, last).view({indices.dim(0) * (last - first)});
}

}  // namespace alma
