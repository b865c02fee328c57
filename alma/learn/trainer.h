#pragma once
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "alma/learn/samples.h"
#include "engine/captured.h"
#include "engine/nn.h"
#include "engine/optim.h"

namespace alma {

/// The settings of a training step.
struct TrainerSettings {
  OptimizerRule rule = {};
  double learning_rate = 1;
  std::function<double(std::int64_t step)> rate_factor = {};  // of the learning rate, by step from 0; empty: 1
  // Number of samples per member that are in memory at a time; 0: all. Losses, gradients and random bits are those of the
  // whole batch, but for rounding; what a layer computes from the rows of a pass together, such as batch statistics, comes
  // from these rows alone.
  std::int64_t micro_batch = 0;
  DecayOf decay = DecayOf::all;
  double clip = 0;  // largest norm of a member's gradient; 0: no limit
  // Called with the parameters between their gradients and the update, such as for sums over processes; empty: nothing.
  std::function<void(std::span<const NamedTensor> parameters)> exchange = {};
  bool graph = false;  // steps are captured once per batch size and replayed; needs a backend with graphs
};

/// The training steps of a model, or of a stack of models: the gradients of a mini-batch, one micro-batch after the other;
/// exchange; clipping; update.
class Trainer {
 public:
  /// `keys` name the random bits of the samples, one key for each member of the stack; the model's random bits come from the
  /// first. `model` and `samples` outlive the trainer.
  Trainer(Module& model, const Samples& samples, std::vector<std::uint64_t> keys, TrainerSettings settings);
  /// Updates the weights once. indices i32 [members * n], those of one member after those of another; losses [members] f32
  /// receive each member's mean loss over its n samples. Returns the cost of forward and backward.
  Cost step(const Tensor& indices, const Tensor& losses);
  Optimizer& optimizer() { return optimizer_; }
  const Optimizer& optimizer() const { return optimizer_; }

 private:
  /// The captured step of a batch size, and the tensors that pass it the data that changes from step to step.
  struct CapturedStep {
    Captured work;
    Tensor indices, losses;
    Cost cost;  // what train() has returned
  };
  CapturedStep& captured_step(const Tensor& indices);
  /// Does the step; to be called after prepare() of the optimizer.
  Cost train(const Tensor& indices, const Tensor& losses);
  /// Adds the gradients of samples [first, last) of each member, and their share of the losses.
  Cost backward(const Tensor& indices, std::int64_t first, std::int64_t last, const Tensor& losses);
  void clip_gradients() const;

  Module& model_;
  const Samples& samples_;
  TrainerSettings settings_;
  std::vector<NamedTensor> parameters_;
  Optimizer optimizer_;
  std::vector<RandomPlace> places_;  // of what samples draw, one for each member
  RandomPlace random_;               // of the model's passes
  // By batch size. The model keeps its tensors while it is trained, so the captured steps stay valid.
  std::map<std::int64_t, std::unique_ptr<CapturedStep>> captured_;
};

}  // namespace alma
