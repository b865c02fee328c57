#pragma once
#include <cstdint>
#include <functional>

#include "alma/learn/samples.h"
#include "data/stream.h"
#include "engine/nn.h"

namespace alma {

/// The growth of a network by neurons (Firefly): of its layers, as in Caccia et al. 2022, and by new layers.
struct NeuronGrowth {
  double ratio = 0.6;            // at update t the network has about 1 + ratio * t times the neurons of the first
  std::int64_t candidates = 70;  // new neurons that each layer is offered
  bool width = true;             // layers grow
  std::int64_t new_layers = 0;   // the most layers that a growth adds
  bool random = false;           // candidates without training and any scores, as a control
  std::int64_t batch_size = 128;
};

/// The share of the network's neurons that a growth before update number t adds, as in the official code, whatever the
/// updates from one growth to the next:
///   (ratio t + 1) / (ratio (t - 1) + 1) - 1.
double growth_ratio(const NeuronGrowth& growth, std::int64_t update);

/// Grows a network before an update: one pass over the training samples trains the candidates (RMSprop, learning rate 1e-3,
/// alpha .9, momentum .1), a second one scores them, both without augmentation; then int(growth_ratio * neurons) + 1 of them
/// become neurons, or all there are. New convolutions learn the statistics of their normalisation from at most 64
/// mini-batches. `random` draws the candidates, the order of the samples and, for the control, the scores. Calls
/// after_batch() while the model is as it was. Throws Error if the network cannot grow (Firefly).
void grow_neurons(
    Module& model, const Samples& samples, const MegaBatch& data, const NeuronGrowth& growth, std::int64_t update,
    RandomStream& random, const std::function<void()>& after_batch = [] {});

}  // namespace alma
