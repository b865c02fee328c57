#include "alma/learn/neuron_growth.h"

#include <algorithm>
#include <span>

#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "engine/optim.h"
#include "models/firefly.h"

namespace alma {

namespace {

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
  Firefly firefly(model, {.candidates = growth.candidates}, random);
  std::vector<std::vector<double>> scores;
  if (growth.random) {
    for (const auto& [name, candidate] : firefly.candidates()) {
      if (!name.ends_with("split")) continue;
      scores.emplace_back(static_cast<std::size_t>(candidate.dim(0) + growth.candidates));
      for (double& score : scores.back()) score = random.uniform();
    }
  } else {
    std::vector<std::int32_t> order = data.train;
    random.shuffle(order);
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
  std::int64_t candidates = 0;
  for (const std::vector<double>& of_layer : scores) candidates += std::ssize(of_layer);
  const auto elites = static_cast<std::int64_t>(growth_ratio(growth, update) * static_cast<double>(firefly.neurons()));
  firefly.grow(scores, std::clamp<std::int64_t>(elites, 0, candidates - 1));
}

}  // namespace alma
