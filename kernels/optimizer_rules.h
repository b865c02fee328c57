#pragma once
#include <variant>

#include "kernels/views.h"

namespace alma {

// PyTorch's update rules and defaults. Each has a name for profiles and so many states per element, which start at zero.
struct SgdRule {
  static constexpr const char* name = "sgd";
  double momentum = 0;
  double weight_decay = 0;
  bool nesterov = false;

  /// The momentum buffer, where there is momentum.
  constexpr int states() const { return momentum != 0 ? 1 : 0; }
};

struct AdadeltaRule {
  static constexpr const char* name = "adadelta";
  double rho = 0.9;
  double epsilon = 1e-6;
  double weight_decay = 0;

  /// The mean squares of the gradients and of the updates.
  constexpr int states() const { return 2; }
};

struct AdamRule {
  static constexpr const char* name = "adam";
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  bool decoupled = false;  // true: AdamW

  /// The first and the second moment.
  constexpr int states() const { return 2; }
};

/// With g = gradient + weight_decay * weight: square = alpha * square + (1 - alpha) * g^2, d = g / (sqrt(square) + epsilon);
/// with momentum, buffer = momentum * buffer + d takes the place of d; weight -= learning rate * d. PyTorch's centered form
/// is not there.
struct RmspropRule {
  static constexpr const char* name = "rmsprop";
  double alpha = 0.99;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double momentum = 0;

  /// The mean square of the gradients and, where there is momentum, its buffer.
  constexpr int states() const { return momentum != 0 ? 2 : 1; }
};

using OptimizerRule = std::variant<SgdRule, AdadeltaRule, AdamRule, RmspropRule>;

inline const char* name_of(const OptimizerRule& rule) {
  return std::visit([](const auto& r) { return r.name; }, rule);
}
inline int states_of(const OptimizerRule& rule) {
  return std::visit([](const auto& r) { return r.states(); }, rule);
}

/// One parameter tensor in an optimizer step. All that it has are of the same size and dtype.
struct OptimizerSlot {
  Out weight;
  In gradient;
  Out state0, state1;  // in the order in which the rule's states() names them; null where it has none
};

}  // namespace alma
