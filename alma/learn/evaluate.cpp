#include "alma/learn/evaluate.h"

#include <algorithm>

#include "engine/autograd.h"
#include "engine/ops_loss.h"
#include "engine/ops_shape.h"

namespace alma {

Score evaluate(const LogitsOf& logits_of, const Samples& samples, const Tensor& indices) {
  return evaluate_stack(logits_of, samples, indices.view({1, indices.dim(0)}))[0];
}

std::function<Score(const std::function<void()>& after_batch)> evaluation_of(std::shared_ptr<Module> model,
                                                                             std::shared_ptr<const Samples> samples,
                                                                             const Tensor& indices) {
  return [=](const std::function<void()>& after_batch) {
    const auto logits_of = [&](const Tensor& x) {
      if (after_batch) after_batch();
      Pass pass;
      return model->forward(x, pass);
    };
    return evaluate(logits_of, *samples, indices);
  };
}

std::vector<Score> evaluate_stack(const LogitsOf& logits_of, const Samples& samples, const Tensor& indices) {
  NoGrad off;
  const std::int64_t batch_size = samples.evaluation_batch();
  const std::int64_t k = indices.dim(0), count = indices.dim(1), batches = (count + batch_size - 1) / batch_size;
  std::vector<Score> scores(static_cast<std::size_t>(k));
  if (count == 0) return scores;
  const Tensor losses = Tensor::empty(indices.context(), {k, batches}, DType::f32);
  const Tensor hits = Tensor::empty(indices.context(), {k, batches}, DType::i32);
  for (std::int64_t b = 0; b < batches; ++b) {
    const std::int64_t first = b * batch_size;
    const Batch batch = samples.batch(samples_of_stack(indices, first, std::min(first + batch_size, count)), {});
    if (k > 1 && batch.ignored > 0) fail("[evaluate] samples without a label in a stack of ", k);
    const Tensor out = logits_of(batch.x), logits = k == 1 ? out : dense(out);
    const std::int64_t rows = batch.y.count() / k, classes = logits.dim(1);  // of a member
    for (std::int64_t m = 0; m < k; ++m) {
      evaluate_cross_entropy(k == 1 ? logits : logits.part(m * rows * classes, {rows, classes}),
                             batch.y.part(m * rows, {rows}), losses.part(m * batches + b, {}),
                             hits.part(m * batches + b, {}));
      scores[static_cast<std::size_t>(m)].predictions += rows - batch.ignored;
    }
  }
  const auto all_losses = losses.to_vector<float>();
  const auto all_hits = hits.to_vector<std::int32_t>();
  for (std::size_t i = 0; i < all_hits.size(); ++i) {
    Score& score = scores[i / static_cast<std::size_t>(batches)];
    score.hits += all_hits[i];
    score.loss_sum += static_cast<double>(all_losses[i]);
  }
  return scores;
}

Tensor samples_of_stack(const Tensor& indices, std::int64_t first, std::int64_t last) {
  if (indices.dim(0) == 1) return indices.part(first, {last - first});
  return slice(indices, 1, first, last).view({indices.dim(0) * (last - first)});
}

}  // namespace alma
