#include "alma/learn/trainer.h"

#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"

namespace alma {

Trainer::Trainer(Module& model, Optimizer& optimizer, const DeviceImages& images,
                 std::vector<ImageAugmentation> augmentations, bool graph)
    : model_(model), optimizer_(optimizer), images_(images), augmentations_(std::move(augmentations)), graph_(graph) {
  for (ImageAugmentation& augmentation : augmentations_) augmentation.place.state = optimizer_.device_state();
}

Cost Trainer::step(const Tensor& indices, const Tensor& losses) {
  const ProfileSpan span(indices.context(), "training step");
  optimizer_.prepare();
  if (!graph_) return train(indices, losses);
  CapturedStep& step = captured_step(indices);
  step.indices.copy_from(indices);
  step.work.run([&] { step.cost = train(step.indices, step.losses); });
  losses.copy_from(step.losses);
  return step.cost;
}

Cost Trainer::train(const Tensor& indices, const Tensor& losses) {
  const Batch batch = batch_of_images(images_, indices, augmentations_);
  CostScope scope(indices.context());
  Pass pass{.purpose = Purpose::training, .random = {.state = optimizer_.device_state()}};
  Tensor found = softmax_cross_entropies(model_.forward(batch.x, pass), batch.y, losses.dim(0));
  for (const Tensor& penalty : pass.penalties) found = found + penalty;
  found.backward_of_sum();
  const Cost cost = scope.cost();
  optimizer_.apply();
  losses.copy_from(found);
  return cost;
}

Trainer::CapturedStep& Trainer::captured_step(const Tensor& indices) {
  std::unique_ptr<CapturedStep>& step = captured_[indices.dim(0)];
  if (step == nullptr) {
    Context& context = indices.context();
    step = std::unique_ptr<CapturedStep>(
        new CapturedStep{Captured(context),
                         Tensor::empty(context, indices.shape(), DType::i32),
                         Tensor::empty(context, {static_cast<std::int64_t>(augmentations_.size())}, DType::f32),
                         {}});
  }
  return *step;
}

}  // namespace alma
