#include <cmath>

#include "kernels/checks/optimizer.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"

namespace alma {
namespace {

/// update(weight, gradient, state0, state1, i) for every element of every slot; states that are not given are null.
template <class T, class Update>
void for_elements(ThreadPool* pool, std::span<const OptimizerSlot> slots, const Update& update) {
  for (const OptimizerSlot& slot : slots) {
    for_pieces(pool, slot.weight.shape.count(), 16384, 1.5, [&](std::int64_t begin, std::int64_t end) {
      T* __restrict weight = slot.weight.as<T>();
      const T* __restrict gradient = slot.gradient.as<T>();
      T* __restrict state0 = slot.state0.as<T>();
      T* __restrict state1 = slot.state1.as<T>();
      for (std::int64_t i = begin; i < end; ++i) update(weight, gradient, state0, state1, i);
    });
  }
}

template <class T>
void update_all(ThreadPool* pool, std::span<const OptimizerSlot> slots, const SgdRule& rule, const StepState& state) {
  const T rate = static_cast<T>(state.learning_rate), decay = static_cast<T>(rule.weight_decay);
  const T momentum = static_cast<T>(rule.momentum);
  if (rule.momentum == 0) {
    for_elements<T>(pool, slots,
                    [=](T* w, const T* gradient, T*, T*, std::int64_t i) { w[i] -= rate * (gradient[i] + decay * w[i]); });
  } else if (rule.nesterov) {
    for_elements<T>(pool, slots, [=](T* w, const T* gradient, T* velocity, T*, std::int64_t i) {
      const T g = gradient[i] + decay * w[i];
      velocity[i] = momentum * velocity[i] + g;
      w[i] -= rate * (g + momentum * velocity[i]);
    });
  } else {
    for_elements<T>(pool, slots, [=](T* w, const T* gradient, T* velocity, T*, std::int64_t i) {
      velocity[i] = momentum * velocity[i] + (gradient[i] + decay * w[i]);
      w[i] -= rate * velocity[i];
    });
  }
}

template <class T>
void update_all(ThreadPool* pool, std::span<const OptimizerSlot> slots, const AdadeltaRule& rule, const StepState& state) {
  const T rate = static_cast<T>(state.learning_rate), decay = static_cast<T>(rule.weight_decay);
  const T rho = static_cast<T>(rule.rho), rest = static_cast<T>(1 - rule.rho), epsilon = static_cast<T>(rule.epsilon);
  for_elements<T>(pool, slots, [=](T* w, const T* gradient, T* square, T* accumulated, std::int64_t i) {
    const T g = gradient[i] + decay * w[i];
    square[i] = rho * square[i] + rest * g * g;
    const T delta = std::sqrt((accumulated[i] + epsilon) / (square[i] + epsilon)) * g;  // one root, not two
    accumulated[i] = rho * accumulated[i] + rest * delta * delta;
    w[i] -= rate * delta;
  });
}

template <class T>
void update_all(ThreadPool* pool, std::span<const OptimizerSlot> slots, const AdamRule& rule, const StepState& state) {
  const double step = static_cast<double>(state.step + 1), lr = state.learning_rate;
  const T rate = static_cast<T>(lr / (1 - std::pow(rule.beta1, step)));
  const T root_correction = static_cast<T>(std::sqrt(1 - std::pow(rule.beta2, step)));
  const T beta1 = static_cast<T>(rule.beta1), rest1 = static_cast<T>(1 - rule.beta1);
  const T beta2 = static_cast<T>(rule.beta2), rest2 = static_cast<T>(1 - rule.beta2);
  const T epsilon = static_cast<T>(rule.epsilon);
  const T decay = static_cast<T>(rule.decoupled ? 0 : rule.weight_decay);          // joins the gradient
  const T keep = static_cast<T>(rule.decoupled ? 1 - lr * rule.weight_decay : 1);  // shrinks the weight (AdamW)
  for_elements<T>(pool, slots, [=](T* w, const T* gradient, T* first, T* second, std::int64_t i) {
    const T g = gradient[i] + decay * w[i];
    first[i] = beta1 * first[i] + rest1 * g;
    second[i] = beta2 * second[i] + rest2 * g * g;
    w[i] = keep * w[i] - rate * first[i] / (std::sqrt(second[i]) / root_correction + epsilon);
  });
}

template <class T>
void update_all(ThreadPool* pool, std::span<const OptimizerSlot> slots, const RmspropRule& rule, const StepState& state) {
  const T rate = static_cast<T>(state.learning_rate), decay = static_cast<T>(rule.weight_decay);
  const T alpha = static_cast<T>(rule.alpha), rest = static_cast<T>(1 - rule.alpha);
  const T epsilon = static_cast<T>(rule.epsilon), momentum = static_cast<T>(rule.momentum);
  if (rule.momentum == 0) {
    for_elements<T>(pool, slots, [=](T* w, const T* gradient, T* square, T*, std::int64_t i) {
      const T g = gradient[i] + decay * w[i];
      square[i] = alpha * square[i] + rest * g * g;
      w[i] -= rate * (g / (std::sqrt(square[i]) + epsilon));
    });
  } else {
    for_elements<T>(pool, slots, [=](T* w, const T* gradient, T* square, T* velocity, std::int64_t i) {
      const T g = gradient[i] + decay * w[i];
      square[i] = alpha * square[i] + rest * g * g;
      velocity[i] = momentum * velocity[i] + g / (std::sqrt(square[i]) + epsilon);
      w[i] -= rate * velocity[i];
    });
  }
}

}  // namespace

void CpuBackend::optimize(std::span<const OptimizerSlot> slots, const OptimizerRule& rule, const StepState* state) {
  const Observed seen = check::optimize(*this, slots, rule, state);
  if (slots.empty()) return;
  for_float("optimize", slots.front().weight.dtype, [&](auto type) {
    std::visit([&](const auto& r) { update_all<decltype(type)>(pool_, slots, r, *state); }, rule);
  });
}

}  // namespace alma
