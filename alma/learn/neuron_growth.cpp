#include "alma/learn/neuron_growth.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "engine/optim.h"
#include "models/firefly.h"

namespace alma {

namespace {

constexpr std::int64_t kStatisticsBatches = 64;

/// Calls work(loss) for each batch of the order; returns the number of batches.
template <class Work>
std::int64_t for_each_loss(const Firefly& firefly, Context& context, const Samples& samples,
                           std::span<const std::int32_t> order, std::int64_t batch_size, const Work& work) {
  std::int64_t batches = 0;
  for_each_batch(samples, context, order, batch_size, [&](const Batch& batch) {
    work(softmax_cross_entropy(firefly.forward(batch.x), batch.y));
    ++batches;
  });
  return batches;
}

}  // namespace

double growth_ratio(const NeuronGrowth& growth, std::int64_t update) {
  const auto t = static_cast<double>(update);
  return (growth.ratio * t + 1) / (growth.ratio * (t - 1) + 1) - 1;
}

void grow_neurons(Module& model, const Samples& samples, const MegaBatch& data, const NeuronGrowth& growth,
                  std::int64_t update, RandomStream& random, const std::function<void()>& after_batch) {
  Context& context = named_state(model).at(0).second.context();
  Firefly firefly(model, {growth.candidates, growth.width, growth.new_layers}, random);
  std::vector<std::vector<double>> scores;
  std::vector<std::int32_t> order = data.train;
  if (!growth.random || growth.new_layers > 0) random.shuffle(order);
  if (growth.random) {
    for (const std::int64_t count : firefly.counts()) {
      scores.emplace_back(static_cast<std::size_t>(count));
      for (double& score : scores.back()) score = random.uniform();
    }
  } else {
    Optimizer optimizer(firefly.candidates(), RmspropRule{.alpha = 0.9, .momentum = 0.1}, 1e-3);
    for_each_loss(firefly, context, samples, order, growth.batch_size, [&](const Tensor& loss) {
      (loss + firefly.penalty()).backward();
      optimizer.step();
      after_batch();
    });
    const std::int64_t batches = for_each_loss(firefly, context, samples, order, growth.batch_size, [&](const Tensor& loss) {
      loss.backward();
      after_batch();
    });
    scores = firefly.scores(batches);
  }
  const std::vector<std::int64_t> counts = firefly.counts();
  const std::int64_t candidates = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  const auto elites = static_cast<std::int64_t>(growth_ratio(growth, update) * static_cast<double>(firefly.neurons()));
  firefly.grow(scores, std::clamp<std::int64_t>(elites, 0, candidates - 1));
  if (!firefly.wants_statistics()) return;
  order.resize(static_cast<std::size_t>(std::min(kStatisticsBatches * growth.batch_size, std::ssize(order))));
  for_each_batch(samples, context, order, growth.batch_size, [&](const Batch& batch) { firefly.learn_statistics(batch.x); });
}

}  // namespace alma
