#pragma once
#include <span>
#include <vector>

#include "engine/tensor.h"

namespace alma {

/// The parameters that a rule's weight decay acts on.
enum class DecayOf {
  all,
  matrices,  // those of rank 2 and more, but for tables of positions
};

/// Updates parameters from their gradients, all in one call to the backend. Its state is on the device and starts at zero.
class Optimizer {
 public:
  /// `parameters` share one context and dtype; they are kept by reference (same memory). Those of a stack of `members` have
  /// one more dimension.
  Optimizer(std::vector<NamedTensor> parameters, const OptimizerRule& rule, double learning_rate,
            DecayOf decay = DecayOf::all, std::int64_t members = 1);
  /// One update: prepare(), then apply().
  void step();
  /// Counts the update and sends the values that change between updates to the device; never part of a captured graph.
  void prepare();
  /// Updates the parameters; those without a gradient stay unchanged and keep their state. Then releases the gradients.
  void apply();
  /// The values that prepare() has sent, in device memory.
  const StepState* device_state() const { return static_cast<const StepState*>(device_state_.in().data); }
  /// Sets the learning rate, from the next prepare() on.
  void set_learning_rate(double rate) { state_.learning_rate = rate; }
  /// Sets the number of updates done.
  void set_steps(std::int64_t steps) { state_.step = steps; }
  /// The number of updates done.
  std::int64_t steps() const { return state_.step; }
  /// State tensors, named after their parameters, for a checkpoint.
  std::vector<NamedTensor> state() const;
  /// Restores a checkpoint: tensors with the names and shapes of state(), and the number of updates done.
  void restore(const std::vector<NamedTensor>& tensors, std::int64_t steps);

 private:
  struct Slot {
    NamedTensor parameter;
    Tensor state0, state1;
    bool decays;
  };
  /// Updates the parameters that decay, or the others.
  void update(bool decays, const OptimizerRule& rule) const;

  std::vector<Slot> slots_;
  OptimizerRule rule_;
  StepState state_;
  Tensor device_state_;  // StepState's bytes
};

}  // namespace alma
