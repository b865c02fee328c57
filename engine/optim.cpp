#include "engine/optim.h"

#include <algorithm>
#include <array>

#include "engine/nn.h"

namespace alma {

namespace {

// The names of a rule's states in a checkpoint, in their order.
std::array<const char*, 2> names_of_states(const SgdRule&) { return {"momentum", ""}; }
std::array<const char*, 2> names_of_states(const AdadeltaRule&) { return {"square_average", "update_average"}; }
std::array<const char*, 2> names_of_states(const AdamRule&) { return {"first_moment", "second_moment"}; }
std::array<const char*, 2> names_of_states(const RmspropRule&) { return {"square_average", "momentum"}; }

// The values that a rule moves per element: it reads weight, gradient and states, and writes weight and states.
Cost update_cost(std::int64_t elements, DType dtype, int states) {
  const auto n = static_cast<Count>(elements);
  return {0, n * static_cast<Count>(2 + 4 * states), n * size_of(dtype) * static_cast<Count>(3 + 2 * states)};
}

OptimizerRule without_decay(OptimizerRule rule) {
  std::visit([](auto& r) { r.weight_decay = 0; }, rule);
  return rule;
}

bool is_matrix(const NamedTensor& parameter, std::int64_t members) {
  const auto& [name, tensor] = parameter;
  return tensor.shape().rank() - (members > 1) >= 2 && name != "position" && !name.ends_with(".position");
}

}  // namespace

Optimizer::Optimizer(std::vector<NamedTensor> parameters, const OptimizerRule& rule, double learning_rate, DecayOf decay,
                     std::int64_t members)
    : rule_(rule) {
  if (parameters.empty()) fail("[optimizer] no parameters");
  state_.learning_rate = learning_rate;
  const int states = states_of(rule);
  for (NamedTensor& parameter : parameters) {
    const Tensor& weight = parameter.second;
    const auto zeros = [&](bool wanted) {
      return wanted ? Tensor::zeros(weight.context(), weight.shape(), weight.dtype()) : Tensor();
    };
    Slot slot{parameter, zeros(states > 0), zeros(states > 1), decay == DecayOf::all || is_matrix(parameter, members)};
    slots_.push_back(std::move(slot));
  }
  device_state_ = Tensor::empty(slots_[0].parameter.second.context(), {sizeof(StepState)}, DType::u8);
}

void Optimizer::step() {
  prepare();
  apply();
}

void Optimizer::prepare() {
  device_state_.backend().upload(&state_, device_state_.out().data, sizeof(StepState));
  ++state_.step;
}

void Optimizer::apply() {
  update(true, rule_);
  if (!std::ranges::all_of(slots_, &Slot::decays)) update(false, without_decay(rule_));
  for (const Slot& slot : slots_) slot.parameter.second.clear_grad();
}

void Optimizer::update(bool decays, const OptimizerRule& rule) const {
  std::vector<OptimizerSlot> slots;
  slots.reserve(slots_.size());
  const int states = states_of(rule);
  Cost cost;
  for (const Slot& slot : slots_) {
    const Tensor& weight = slot.parameter.second;
    if (slot.decays != decays || !weight.grad().defined()) continue;
    slots.push_back({weight.out(), weight.grad().in(), slot.state0.defined() ? slot.state0.out() : Out{},
                     slot.state1.defined() ? slot.state1.out() : Out{}});
    cost += update_cost(weight.count(), weight.dtype(), states);
  }
  Context& context = device_state_.context();
  context.backend().optimize(slots, rule, device_state());
  context.add_cost(cost);
}

std::vector<NamedTensor> Optimizer::state() const {
  const int states = states_of(rule_);
  const auto names = std::visit([](const auto& rule) { return names_of_states(rule); }, rule_);
  std::vector<NamedTensor> tensors;
  for (const Slot& slot : slots_) {
    if (states > 0) tensors.emplace_back(slot.parameter.first + "." + names[0], slot.state0);
    if (states > 1) tensors.emplace_back(slot.parameter.first + "." + names[1], slot.state1);
  }
  return tensors;
}

void Optimizer::restore(const std::vector<NamedTensor>& tensors, std::int64_t steps) {
  copy_tensors(tensors, state());
  set_steps(steps);
}

}  // namespace alma
