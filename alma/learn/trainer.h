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

/// What a training step does with a mini-batch.
struct TrainerSettings {
  OptimizerRule rule = {};
  double learning_rate = 1;
  std::function<double(std::int64_t step)> rate_factor = {};  // of the learning rate at a step, from 0; empty: always 1
  // Samples of a member that are in memory at a time; 0: all. Losses, gradients and random bits are those of the whole
  // batch, but for roundings; what a layer takes from the rows of a pass together, such as batch statistics, is of these
  // alone.
  std::int64_t micro_batch = 0;
  double clip = 0;  // the largest norm of a member's gradient; 0: any
  // Called with the parameters between their gradients and the update, such as for sums over processes; empty: nothing.
  std::function<void(std::span<const NamedTensor> parameters)> exchange = {};
  bool graph = false;  // steps are captured once per batch size and replayed; the backend has graphs
};

/// Training steps of a model, or of a stack of models: the gradients of a mini-batch, one micro-batch after the other;
/// exchange; clip; update.
class Trainer {
 public:
  /// `keys` name the random bits that samples are drawn with, one for each member of the stack; the model's come from the
  /// first. `model` and `samples` outlive the trainer.
  Trainer(Module& model, const Samples& samples, std::vector<std::uint64_t> keys, TrainerSettings settings);
  /// One update of the weights. indices i32 [members * n], those of one member after those of another; losses [members] f32
  /// get each member's mean over its n samples. Returns the cost of forward and backward.
  Cost step(const Tensor& indices, const Tensor& losses);
  Optimizer& optimizer() { return optimizer_; }
  const Optimizer& optimizer() const { return optimizer_; }

 private:
  /// The captured step of a batch size, and the tensors through which what changes from step to step reaches it.
  struct CapturedStep {
    Captured work;
    Tensor indices, losses;
    Cost cost;  // what train() has returned
  };
  CapturedStep& captured_step(const Tensor& indices);
  /// After prepare() of the optimizer.
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
  // By batch size. The model does not change its tensors while it is trained, so that the steps hold as long as this.
  std::map<std::int64_t, std::unique_ptr<CapturedStep>> captured_;
};

}  // namespace alma
