#include "alma/learn/fit.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "alma/learn/evaluate.h"
#include "alma/learn/named_tensors.h"
#include "base/random.h"

namespace alma {

namespace {

std::unique_ptr<Module> stack_of(const std::vector<Trainee>& trainees) {
  if (trainees.size() < 2) return nullptr;
  std::vector<Module*> models;
  for (const Trainee& trainee : trainees) models.push_back(&trainee.model);
  return std::make_unique<Stack>(models);
}

std::vector<std::uint64_t> keys_of(const std::vector<Trainee>& trainees, std::uint64_t seed) {
  std::vector<std::uint64_t> keys;
  for (const Trainee& trainee : trainees) keys.push_back(RandomStream::key(seed, "augmentation, " + trainee.name));
  return keys;
}

std::vector<Member> members_of(const std::vector<Trainee>& trainees, const Course& course, Measure measure, double delta) {
  std::vector<Member> members;
  for (const Trainee& trainee : trainees) {
    const MegaBatch &data = trainee.data, &first = trainees[0].data;
    if (data.train.size() != first.train.size() || data.validation.size() != first.validation.size())
      fail("[fit] ", trainee.name, " has ", data.train.size(), " and ", data.validation.size(), " samples, others ",
           first.train.size(), " and ", first.validation.size());
    members.emplace_back(trainee, course, measure, delta);
  }
  return members;
}

TrainerSettings with_rate(const FitSettings& settings, const Course& course) {
  TrainerSettings trainer = settings;
  const RateSchedule& schedule = settings.schedule;
  if (schedule.shape != RateSchedule::Shape::constant || schedule.warm_up > 0)
    trainer.rate_factor = [schedule, steps = std::max(course.steps(), settings.schedule_steps)](std::int64_t step) {
      return rate_factor(schedule, step, steps);
    };
  return trainer;
}

}  // namespace

Fit::Fit(std::vector<Trainee> trainees, const Samples& samples, const FitSettings& settings, std::uint64_t seed)
    : stack_(stack_of(trainees)),
      model_(stack_ ? *stack_ : trainees.at(0).model),
      samples_(samples),
      seed_(seed),
      steps_before_(settings.steps_before),
      course_(static_cast<std::int64_t>(trainees[0].data.train.size()), settings),
      members_(members_of(trainees, course_, samples.measure(), settings.patience_delta)),
      trainer_(model_, samples, keys_of(trainees, seed), with_rate(settings, course_)) {
  Context& context = named_state(model_).at(0).second.context();
  std::vector<std::int32_t> validation;
  for (const Trainee& trainee : trainees)
    validation.insert(validation.end(), trainee.data.validation.begin(), trainee.data.validation.end());
  validation_ = Tensor::from(context, {size(), static_cast<std::int64_t>(validation.size()) / size()}, validation);
  orders_ = Tensor::empty(context, {size(), static_cast<std::int64_t>(trainees[0].data.train.size())}, DType::i32);
  losses_ = Tensor::zeros(context, {course_.steps_per_epoch(), size()}, DType::f32);
  for (std::size_t i = 0; i < members_.size(); ++i) begin_epoch(i);
  trainer_.optimizer().set_steps(steps_before_);
}

void Fit::begin_epoch(std::size_t member) const {
  const std::vector<std::int32_t> order = members_[member].order(seed_);
  const std::int64_t samples = orders_.dim(1);
  orders_.part(static_cast<std::int64_t>(member) * samples, {samples}).assign(std::span<const std::int32_t>(order));
}

bool Fit::done() const {
  return std::all_of(members_.begin(), members_.end(), [](const Member& member) { return member.done(); });
}

std::int64_t Fit::steps() const {
  std::int64_t steps = 0;
  for (const Member& member : members_) {
    if (!member.done()) return member.steps();
    steps = std::max(steps, member.steps());
  }
  return steps;
}

bool Fit::in_step() const {
  return std::all_of(members_.begin(), members_.end(),
                     [now = steps()](const Member& member) { return member.done() || member.steps() == now; });
}

void Fit::step() {
  const std::int64_t step = steps(), row = step % course_.steps_per_epoch();
  const auto [first, last] = course_.range(step);
  Cost cost = trainer_.step(samples_of_stack(orders_, first, last), losses_.part(row * size(), {size()}));
  cost = cost / static_cast<Count>(size());  // of members of equal shapes
  std::vector<std::size_t> trained;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (!members_[i].done()) trained.push_back(i);
  for (const std::size_t i : trained) members_[i].has_trained(cost);
  const bool end_of_epoch = row + 1 == course_.steps_per_epoch(), validates = course_.validates_after(step + 1);
  if (end_of_epoch || validates) check_losses(trained, step + 1);
  if (end_of_epoch || validates) first_loss_ = end_of_epoch ? 0 : row + 1;
  if (validates) validate(trained);
  if (end_of_epoch && step + 1 < course_.steps())
    for (const std::size_t i : trained) begin_epoch(i);
}

void Fit::validate(const std::vector<std::size_t>& trained) {
  const ProfileSpan span(validation_.context(), "validation");
  Pass pass;
  const std::vector<Score> scores =
      evaluate_stack([&](const Tensor& x) { return model_.forward(x, pass); }, samples_, validation_);
  for (const std::size_t i : trained) members_[i].has_been_validated(scores[i]);
}

void Fit::check_losses() const {
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (!members_[i].done()) open.push_back(i);
  if (steps() % course_.steps_per_epoch() != 0) check_losses(open, steps());
}

void Fit::check_losses(const std::vector<std::size_t>& members, std::int64_t steps) const {
  const std::int64_t per_epoch = course_.steps_per_epoch(), epoch = (steps - 1) / per_epoch;
  const std::vector<float> losses = losses_.to_vector<float>();
  for (const std::size_t i : members)
    for (std::int64_t row = first_loss_; row < steps - epoch * per_epoch; ++row)
      if (const float loss = losses[static_cast<std::size_t>(row * size()) + i]; !std::isfinite(loss))
        fail("the loss is not finite (", loss, ") in ", members_[i].name(), ", epoch ", epoch + 1, ", step ", row + 1,
             " of ", per_epoch, "; lower train.lr, or check the data");
}

FitProgress Fit::progress() const {
  FitProgress all = members_[0].progress();
  all.samples = 0;
  for (const Member& member : members_) {
    const FitProgress one = member.progress();
    all.epoch = std::min(all.epoch, one.epoch);
    all.samples += one.samples;
  }
  all.samples /= size();
  return all;
}

std::vector<FitResult> Fit::finish() {
  std::vector<FitResult> results;
  for (Member& member : members_) results.push_back(member.finish());
  return results;
}

std::vector<NamedTensor> Fit::optimizer_state(std::size_t member) const {
  std::vector<NamedTensor> state = trainer_.optimizer().state();
  if (!stack_) return state;
  for (auto& [name, tensor] : state) {
    Shape shape;
    for (int i = 1; i < tensor.shape().rank(); ++i) shape.push_back(tensor.dim(i));
    tensor = tensor.part(static_cast<std::int64_t>(member) * shape.count(), shape);
  }
  return state;
}

void Fit::go_on_with(std::size_t member, const std::vector<NamedTensor>& state) {
  copy_tensors(state, optimizer_state(member));
}

std::vector<NamedTensor> Fit::tensors(std::size_t member) const {
  std::vector<NamedTensor> all = with_prefix("optimizer.", optimizer_state(member));
  for (NamedTensor& tensor : with_prefix("best.", members_.at(member).best())) all.push_back(std::move(tensor));
  return all;
}

nlohmann::json Fit::state(std::size_t member) const { return members_.at(member).state(); }

void Fit::restore(std::size_t member, const std::vector<NamedTensor>& tensors, const nlohmann::json& state) {
  members_.at(member).restore(without_prefix("best.", tensors, members_[member].best()), state);
  const std::vector<NamedTensor> optimizer = optimizer_state(member);
  copy_tensors(without_prefix("optimizer.", tensors, optimizer), optimizer);
  trainer_.optimizer().set_steps(steps_before_ + steps());
  first_loss_ = steps() % course_.steps_per_epoch();
  begin_epoch(member);
}

}  // namespace alma
