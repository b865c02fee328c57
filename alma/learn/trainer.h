#pragma once
#include <map>
#include <memory>
#include <vector>

#include "engine/captured.h"
#include "engine/nn.h"
#include "engine/ops_images.h"
#include "engine/optim.h"

namespace alma {

/// Training steps of a model, or of a stack of models, on mini-batches of images.
class Trainer {
 public:
  /// `augmentations`: one, or one for each member of the stack; their place's state is the trainer's to fill in. With
  /// `graph` a step is captured once per batch size and replayed. All references outlive the trainer.
  Trainer(Module& model, Optimizer& optimizer, const DeviceImages& images, std::vector<ImageAugmentation> augmentations,
          bool graph);
  /// One update of the weights. indices i32 [members * n], those of one member after those of another; losses [members] f32
  /// get each member's mean over its n samples. Returns the cost of forward and backward.
  Cost step(const Tensor& indices, const Tensor& losses);

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

  Module& model_;
  Optimizer& optimizer_;
  const DeviceImages& images_;
  std::vector<ImageAugmentation> augmentations_;
  bool graph_;
  // By batch size. The model does not change its tensors while it is trained, so that the steps hold as long as this.
  std::map<std::int64_t, std::unique_ptr<CapturedStep>> captured_;
};

}  // namespace alma
