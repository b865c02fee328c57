#include "alma/learn/trainer.h"

#include <algorithm>

#include "alma/learn/evaluate.h"
#include "base/random.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"

namespace alma {

Trainer::Trainer(Module& model, const Samples& samples, std::vector<std::uint64_t> keys, TrainerSettings settings)
    : model_(model),
      samples_(samples),
      settings_(std::move(settings)),
      parameters_(named_parameters(model)),
      optimizer_(parameters_, settings_.rule, settings_.learning_rate, settings_.decay, std::ssize(keys)) {
  for (const std::uint64_t key : keys) places_.push_back({key, optimizer_.device_state()});
  random_ = {RandomStream::key(keys.at(0), "pass"), optimizer_.device_state()};
}

Cost Trainer::step(const Tensor& indices, const Tensor& losses) {
  const ProfileSpan span(indices.context(), "training step");
  if (settings_.rate_factor)
    optimizer_.set_learning_rate(settings_.learning_rate * settings_.rate_factor(optimizer_.steps()));
  optimizer_.prepare();
  if (!settings_.graph) return train(indices, losses);
  CapturedStep& step = captured_step(indices);
  step.indices.copy_from(indices);
  step.work.run([&] { step.cost = train(step.indices, step.losses); });
  losses.copy_from(step.losses);
  return step.cost;
}

Cost Trainer::train(const Tensor& indices, const Tensor& losses) {
  const std::int64_t samples = indices.dim(0) / losses.dim(0);
  const std::int64_t at_a_time = settings_.micro_batch > 0 ? settings_.micro_batch : samples;
  Cost cost;
  for (std::int64_t first = 0; first < samples; first += at_a_time)
    cost += backward(indices, first, std::min(first + at_a_time, samples), losses);
  if (settings_.exchange) settings_.exchange(parameters_);
  if (settings_.clip > 0) clip_gradients();
  optimizer_.apply();
  return cost;
}

Cost Trainer::backward(const Tensor& indices, std::int64_t first, std::int64_t last, const Tensor& losses) {
  const std::int64_t k = losses.dim(0), samples = indices.dim(0) / k, here = last - first;
  const bool whole = here == samples;
  std::vector<RandomPlace> places = places_;
  for (RandomPlace& place : places) place.first = first;
  const Batch batch = samples_.batch(whole ? indices : samples_of_stack(indices.view({k, samples}), first, last), {places});
  const CostScope scope(indices.context());
  Pass pass{.purpose = Purpose::training, .random = random_, .first_row = first};
  const MeanOver all{batch.y.count() / k / here * samples};  // a sample can have several predictions
  Tensor found = softmax_cross_entropies(model_.forward(batch.x, pass), batch.y, k, all);
  const double share = static_cast<double>(here) / static_cast<double>(samples);
  for (const Tensor& penalty : pass.penalties) found = found + (whole ? penalty : share * penalty);
  found.backward_of_sum();
  losses.copy_from(first == 0 ? found : losses + found.detach());
  return scope.cost();
}

// Scales each member's gradient by min(1, clip / norm), without waiting for the device.
void Trainer::clip_gradients() const {
  Backend& backend = parameters_[0].second.backend();
  const auto k = static_cast<std::int64_t>(places_.size());
  for (std::int64_t member = 0; member < k; ++member) {
    std::vector<Tensor> gradients;
    for (const auto& [name, parameter] : parameters_) {
      if (!parameter.grad().defined()) continue;
      const std::int64_t count = parameter.count() / k;
      gradients.push_back(parameter.grad().part(member * count, {count}));
    }
    if (gradients.empty()) return;
    const Tensor norm = Tensor::empty(gradients[0].context(), {}, gradients[0].dtype());
    const std::vector<In> views(gradients.begin(), gradients.end());
    backend.gradient_norm(views, norm.out());
    const Tensor one = Tensor::full(norm.context(), {}, norm.dtype(), 1);
    const Tensor limit = Tensor::full(norm.context(), {}, norm.dtype(), settings_.clip);
    const Tensor factor = one - relu(one - limit / norm);
    for (const Tensor& gradient : gradients) gradient.copy_from(gradient * factor);
  }
}

Trainer::CapturedStep& Trainer::captured_step(const Tensor& indices) {
  std::unique_ptr<CapturedStep>& step = captured_[indices.dim(0)];
  if (step == nullptr) {
    Context& context = indices.context();
    step = std::unique_ptr<CapturedStep>(
        new CapturedStep{Captured(context),
                         Tensor::empty(context, indices.shape(), DType::i32),
                         Tensor::empty(context, {static_cast<std::int64_t>(places_.size())}, DType::f32),
                         {}});
  }
  return *step;
}

}  // namespace alma
