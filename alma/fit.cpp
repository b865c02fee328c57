#include "alma/fit.h"

#include <algorithm>
#include <cmath>

#include "alma/named_tensors.h"
#include "engine/ops_loss.h"

namespace alma {

std::string to_text(Count count) {
  std::string text;
  do {
    text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(count % 10)));
    count /= 10;
  } while (count != 0);
  return text;
}

Count count_from_text(const std::string& text) {
  Count count = 0;
  for (char c : text) {
    if (c < '0' || c > '9') fail(ErrorKind::data, "damaged checkpoint: '", text, "' is not a count");
    count = count * 10 + static_cast<Count>(c - '0');
  }
  return count;
}

Fit::Fit(Module& model, const DeviceImages& images, const MegaBatch& data, const FitSettings& settings, std::uint64_t seed,
         std::string name)
    : state_(named_state(model)),
      model_(model),
      context_(state_.at(0).second.context()),
      images_(images),
      settings_(settings),
      seed_(seed),
      name_(std::move(name)),
      train_(data.train),
      validation_(Tensor::from(context_, {static_cast<std::int64_t>(data.validation.size())}, data.validation)),
      steps_per_epoch_((static_cast<std::int64_t>(train_.size()) + settings.batch_size - 1) / settings.batch_size),
      optimizer_(named_parameters(model), settings.rule, settings.learning_rate) {
  if (train_.empty()) fail("[fit] no training samples");
  settings_.augmentation.place = {RandomStream::key(seed_, "augmentation, " + name_), optimizer_.device_state()};
  for (const auto& [tensor_name, tensor] : state_) best_.emplace_back(tensor_name, tensor.clone());
  losses_ = Tensor::zeros(context_, {steps_per_epoch_}, DType::f32);
  begin_epoch();
}

// The order is a function of the names of its random stream, so a resumed epoch finds the same one.
void Fit::begin_epoch() {
  std::vector<std::int32_t> order = train_;
  RandomStream(seed_, "shuffle, " + name_, static_cast<std::uint64_t>(epoch_)).shuffle(order);
  order_ = Tensor::from(context_, {static_cast<std::int64_t>(order.size())}, order);
}

void Fit::step() {
  train_step();
  if (step_ < steps_per_epoch_) return;
  end_epoch();
  if (epoch_ < settings_.max_epochs) begin_epoch();
}

void Fit::train_step() {
  const ProfileSpan span(context_, "training step");
  const std::int64_t first = step_ * settings_.batch_size, count = std::min(settings_.batch_size, order_.dim(0) - first);
  const Tensor indices = order_.part(first, {count}), loss = losses_.part(step_, {});
  optimizer_.prepare();
  if (settings_.graph) {
    CapturedStep& step = captured_step(count);
    step.indices.copy_from(indices);
    step.work.run([&] { step.cost = train(step.indices, step.loss); });
    loss.copy_from(step.loss);
    cost_ += step.cost;
  } else {
    cost_ += train(indices, loss);
  }
  ++step_;
}

Cost Fit::train(const Tensor& indices, const Tensor& loss) {
  const Batch batch = batch_of_images(images_, indices, settings_.augmentation);
  CostScope scope(context_);
  const Tensor found = softmax_cross_entropy(model_.forward(batch.x), batch.y);
  found.backward();
  const Cost cost = scope.cost();
  optimizer_.apply();
  loss.copy_from(found);
  return cost;
}

Fit::CapturedStep& Fit::captured_step(std::int64_t batch_size) {
  std::unique_ptr<CapturedStep>& step = captured_[batch_size];
  if (step == nullptr) {
    step = std::unique_ptr<CapturedStep>(new CapturedStep{
        Captured(context_), Tensor::empty(context_, {batch_size}, DType::i32), Tensor::empty(context_, {}, DType::f32), {}});
  }
  return *step;
}

void Fit::check_losses() const {
  const std::vector<float> losses = losses_.to_vector<float>();
  for (std::int64_t i = first_loss_; i < step_; ++i)
    if (const float loss = losses[static_cast<std::size_t>(i)]; !std::isfinite(loss))
      fail("the loss is not finite (", loss, ") in ", name_, ", epoch ", epoch_ + 1, ", step ", i + 1, " of ",
           steps_per_epoch_, "; lower train.lr, or look at the data");
}

void Fit::end_epoch() {
  check_losses();
  const ProfileSpan span(context_, "validation");
  const Evaluation validation = evaluate(model_, images_, validation_);
  const bool better =
      validation.count == 0 || best_accuracy_ < 0 || validation.accuracy() > best_accuracy_ + settings_.patience_delta;
  if (better) {
    if (validation.count != 0) best_accuracy_ = validation.accuracy();
    copy_tensors(state_, best_);
  }
  stale_ = better ? 0 : stale_ + 1;
  ++epoch_;
  step_ = 0;
  first_loss_ = 0;
}

FitProgress Fit::progress() const {
  const std::int64_t samples = order_.dim(0);
  return {epoch_, settings_.max_epochs, epoch_ * samples + std::min(step_ * settings_.batch_size, samples)};
}

FitResult Fit::finish() {
  copy_tensors(best_, state_);
  return {epoch_, best_accuracy_, cost_};
}

FitResult Fit::run(const AfterStep& after_step) {
  while (!done()) {
    step();
    after_step(progress());
  }
  return finish();
}

std::vector<NamedTensor> Fit::tensors() const {
  std::vector<NamedTensor> all = with_prefix("optimizer.", optimizer_.state());
  for (NamedTensor& tensor : with_prefix("best.", best_)) all.push_back(std::move(tensor));
  return all;
}

nlohmann::json Fit::state() const {
  return {{"epoch", epoch_},
          {"step", step_},
          {"optimizer_steps", optimizer_.steps()},
          {"stale_epochs", stale_},
          {"best_accuracy", best_accuracy_},
          {"macs", to_text(cost_.macs)},
          {"flops", to_text(cost_.flops)},
          {"bytes", to_text(cost_.bytes)}};
}

void Fit::restore(const std::vector<NamedTensor>& tensors, const nlohmann::json& state) {
  epoch_ = state.at("epoch");
  step_ = state.at("step");
  stale_ = state.at("stale_epochs");
  best_accuracy_ = state.at("best_accuracy");
  cost_ = {count_from_text(state.at("macs")), count_from_text(state.at("flops")), count_from_text(state.at("bytes"))};
  first_loss_ = step_;
  optimizer_.restore(without_prefix("optimizer.", tensors, optimizer_.state()), state.at("optimizer_steps"));
  copy_tensors(without_prefix("best.", tensors, best_), best_);
  begin_epoch();
}

}  // namespace alma
