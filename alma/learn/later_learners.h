#pragma once
#include <functional>
#include <memory>

#include "alma/learn/learner.h"
#include "alma/learn/samples.h"
#include "data/stream.h"
#include "engine/nn.h"

namespace alma {

// Baselines that are later than the paper, or that it does not have. Each has a file of its own.

/// Shrink and perturb (Ash & Adams, NeurIPS 2020): each parameter becomes shrink times itself plus perturb times that of
/// `fresh`, a newly initialised model of the same structure; other tensors, such as running statistics, become those of
/// `fresh`, as in the authors' code (run.py).
void shrink_and_perturb(Module& model, Module& fresh, double shrink, double perturb);

/// Direction-aware shrinking (Shin et al., NeurIPS 2024).
struct DashSettings {
  double alpha = 0.3;   // of the newest gradient in the moving average
  double lambda = 0.3;  // the smallest factor
};
/// Shrinks what points away from where the loss falls: one pass over the training samples in their order of arrival, in
/// batches of as many samples as `data` has new ones; the moving average of the negative gradients of their mean losses,
/// which starts at 0; then each row of a Linear and each kernel of a convolution (one per pair of channels) is multiplied by
/// its cosine with the average, clamped to lambda .. 1, and each bias by that of the whole vector. As in the authors' code
/// (train_utils.py) the pass is one of training, and leaves the model's running statistics as they were; larger batches than
/// 256 add up the gradients of parts, each with batch statistics of its own.
/// Calls after_batch() while the model is as it was.
void shrink_by_direction(
    Module& model, const Samples& samples, const MegaBatch& data, const DashSettings& settings,
    const std::function<void()>& after_batch = [] {});

/// How a learner averages its weights over the updates.
struct AverageSettings {
  bool moving = false;  // else the mean of all
  double decay = 0.95;  // moving: average = decay * average + (1 - decay) * weights
};
/// SM that is tested with the average of the weights at the ends of its updates, running statistics included; training goes
/// on from the weights themselves (Lee & Storkey 2023, "Chunking"). `trained` is a learner of one model, `model` one of the
/// same structure.
std::unique_ptr<Learner> make_averaged(std::unique_ptr<Learner> trained, std::unique_ptr<Module> model,
                                       const AverageSettings& settings);

/// A learner whose updates train on the new samples and on a memory of at most `size` old ones, which reservoir sampling
/// (Vitter 1985) keeps a uniform sample of all training samples that have arrived.
std::unique_ptr<Learner> make_reservoir(std::unique_ptr<Learner> trained, std::int64_t size, std::uint64_t seed);

}  // namespace alma
