#include "engine/optim.h"

#include <array>

#include "engine/nn.h"

namespace alma {

namespace {

// The number of state tensors per parameter, and their names.
struct StateNames {
  int count = 0;
  std::array<const char*, 2> names{};
};
StateNames state_names(const OptimizerRule& rule) {
  if (const auto* sgd = std::get_if<SgdRule>(&rule)) return {sgd->momentum != 0 ? 1 : 0, {"momentum", ""}};
  if (std::holds_alternative<AdadeltaRule>(rule)) return {2, {"square_average", "update_average"}};
  return {2, {"first_moment", "second_moment"}};
}

// The values that a rule moves per element: it reads weight, gradient and states, and writes weight and states.
Cost update_cost(std::int64_t elements, DType dtype, int states) {
  const auto n = static_cast<Count>(elements);
  return {0, n * static_cast<Count>(2 + 4 * states), n * size_of(dtype) * static_cast<Count>(3 + 2 * states)};
}

}  // namespace

Optimizer::Optimizer(std::vector<NamedTensor> parameters, const OptimizerRule& rule, double learning_rate) : rule_(rule) {
  if (parameters.empty()) fail("[optimizer] no parameters");
  state_.learning_rate = learning_rate;
  const int states = state_names(rule).count;
  for (NamedTensor& parameter : parameters) {
    const Tensor& weight = parameter.second;
    const auto zeros = [&](bool wanted) {
      return wanted ? Tensor::zeros(weight.context(), weight.shape(), weight.dtype()) : Tensor();
    };
    Slot slot{parameter, zeros(states > 0), zeros(states > 1)};
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
  Context& context = device_state_.context();
  std::vector<OptimizerSlot> slots;
  slots.reserve(slots_.size());
  const int states = state_names(rule_).count;
  Cost cost;
  for (const Slot& slot : slots_) {
    const Tensor& weight = slot.parameter.second;
    if (!weight.grad().defined()) continue;
    slots.push_back({weight.out(), weight.grad().in(), slot.state0.defined() ? slot.state0.out() : Out{},
                     slot.state1.defined() ? slot.state1.out() : Out{}});
    cost += update_cost(weight.count(), weight.dtype(), states);
  }
  const StepState* state = device_state();
  Backend& backend = context.backend();
  if (const auto* sgd = std::get_if<SgdRule>(&rule_)) backend.sgd(slots, *sgd, state);
  if (const auto* adadelta = std::get_if<AdadeltaRule>(&rule_)) backend.adadelta(slots, *adadelta, state);
  if (const auto* adam = std::get_if<AdamRule>(&rule_)) backend.adam(slots, *adam, state);
  context.add_cost(cost);
  for (const Slot& slot : slots_) slot.parameter.second.clear_grad();
}

std::vector<NamedTensor> Optimizer::state() const {
  const StateNames names = state_names(rule_);
  std::vector<NamedTensor> tensors;
  for (const Slot& slot : slots_) {
    if (names.count > 0) tensors.emplace_back(slot.parameter.first + "." + names.names[0], slot.state0);
    if (names.count > 1) tensors.emplace_back(slot.parameter.first + "." + names.names[1], slot.state1);
  }
  return tensors;
}

void Optimizer::restore(const std::vector<NamedTensor>& tensors, std::int64_t steps) {
  copy_tensors(tensors, state());
  set_steps(steps);
}

}  // namespace alma
