#include "alma/learn/fit.h"

#include <algorithm>
#include <cmath>

#include "alma/learn/named_tensors.h"
#include "base/json.h"

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
  constexpr Count most = static_cast<Count>(-1) / 10 - 1;
  for (char c : text) {
    if (c < '0' || c > '9' || count > most) fail(ErrorKind::data, "damaged checkpoint: '", text, "' is not a count");
    count = count * 10 + static_cast<Count>(c - '0');
  }
  return count;
}

namespace {

FitSettings with_key(FitSettings settings, std::uint64_t key) {
  settings.augmentation.place.key = key;
  return settings;
}

}  // namespace

Fit::Fit(Module& model, const DeviceImages& images, const MegaBatch& data, const FitSettings& settings, std::uint64_t seed,
         std::string name)
    : state_(named_state(model)),
      model_(model),
      context_(state_.at(0).second.context()),
      images_(images),
      settings_(with_key(settings, RandomStream::key(seed, "augmentation, " + name))),
      seed_(seed),
      name_(std::move(name)),
      train_(data.train),
      validation_(Tensor::from(context_, {static_cast<std::int64_t>(data.validation.size())}, data.validation)),
      steps_per_epoch_((static_cast<std::int64_t>(train_.size()) + settings.batch_size - 1) / settings.batch_size),
      optimizer_(named_parameters(model), settings.rule, settings.learning_rate),
      trainer_(model, optimizer_, images, {settings_.augmentation}, settings.graph) {
  if (train_.empty()) fail("[fit] no training samples");
  for (const auto& [tensor_name, tensor] : state_) best_.emplace_back(tensor_name, tensor.clone());
  order_ = Tensor::empty(context_, {static_cast<std::int64_t>(train_.size())}, DType::i32);
  losses_ = Tensor::zeros(context_, {steps_per_epoch_}, DType::f32);
  begin_epoch();
}

// The order is a function of the names of its random stream, so a resumed epoch finds the same one.
void Fit::begin_epoch() {
  std::vector<std::int32_t> order = train_;
  RandomStream(seed_, "shuffle, " + name_, static_cast<std::uint64_t>(epoch_)).shuffle(order);
  order_.assign(std::span<const std::int32_t>(order));
}

void Fit::step() {
  const auto [first, last] = next_samples();
  if (!finish_step(trainer_.step(order_.part(first, {last - first}), losses_.part(step_, {1})))) return;
  const ProfileSpan span(context_, "validation");
  end_epoch(evaluate(model_, images_, validation_));
}

std::pair<std::int64_t, std::int64_t> Fit::next_samples() const {
  const std::int64_t first = step_ * settings_.batch_size;
  return {first, std::min(first + settings_.batch_size, order_.dim(0))};
}

bool Fit::finish_step(const Cost& cost) {
  cost_ += cost;
  if (++step_ < steps_per_epoch_) return false;
  check_losses();
  return true;
}

void Fit::check_losses() const {
  const std::vector<float> losses = losses_.to_vector<float>();
  for (std::int64_t i = first_loss_; i < step_; ++i)
    if (const float loss = losses[static_cast<std::size_t>(i)]; !std::isfinite(loss))
      fail("the loss is not finite (", loss, ") in ", name_, ", epoch ", epoch_ + 1, ", step ", i + 1, " of ",
           steps_per_epoch_, "; lower train.lr, or look at the data");
}

void Fit::end_epoch(const Evaluation& validation) {
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
  if (epoch_ < settings_.max_epochs) begin_epoch();
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
          {"optimizer_steps", steps()},
          {"stale_epochs", stale_},
          {"best_accuracy", best_accuracy_},
          {"macs", to_text(cost_.macs)},
          {"flops", to_text(cost_.flops)},
          {"bytes", to_text(cost_.bytes)}};
}

void Fit::restore(const std::vector<NamedTensor>& tensors, const nlohmann::json& state) {
  epoch_ = json_integer(state, "epoch", 0, settings_.max_epochs);
  step_ = json_integer(state, "step", 0, steps_per_epoch_);
  stale_ = json_integer(state, "stale_epochs", 0);
  best_accuracy_ = json_number(state, "best_accuracy");
  cost_ = {count_from_text(json_text(state, "macs")), count_from_text(json_text(state, "flops")),
           count_from_text(json_text(state, "bytes"))};
  first_loss_ = step_;
  optimizer_.restore(without_prefix("optimizer.", tensors, optimizer_.state()), json_integer(state, "optimizer_steps", 0));
  copy_tensors(without_prefix("best.", tensors, best_), best_);
  begin_epoch();
}

}  // namespace alma
