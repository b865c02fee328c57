// Optimizer steps: all tensors of a model in a few launches, because most of them are small. The rules are PyTorch's.
#include "kernels/cuda/launch.h"

#include <cmath>
#include <vector>

#include "kernels/checks/optimizer.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/tensor_table.h"

namespace alma {
namespace {

constexpr int kBlock = 128;
// A block updates 2,048 elements, four times four per thread: a layer of 50,000 weights makes 25 blocks.
constexpr int kBlockElements = 2048;

struct Tensor {
  float* weight;
  const float* gradient;
  float* state0;
  float* state1;
  std::int64_t size;
};
// A rule: update(weight, gradient, state0, state1) for one element, and how many of the states it has. start() reads what
// changes from step to step.
struct Sgd {
  static constexpr int states = 0;
  float momentum, weight_decay, learning_rate;
  bool nesterov;

  __device__ void start(const StepState& step) { learning_rate = static_cast<float>(step.learning_rate); }
  __device__ void update(float& weight, float gradient, float&, float&) const {
    weight = fmaf(-learning_rate, fmaf(weight_decay, weight, gradient), weight);
  }
};

struct SgdMomentum : Sgd {
  static constexpr int states = 1;
  __device__ void update(float& weight, float gradient, float& velocity, float&) const {
    gradient = fmaf(weight_decay, weight, gradient);
    velocity = fmaf(momentum, velocity, gradient);
    const float direction = nesterov ? fmaf(momentum, velocity, gradient) : velocity;
    weight = fmaf(-learning_rate, direction, weight);
  }
};

struct Adadelta {
  static constexpr int states = 2;
  float rho, one_minus_rho, epsilon, weight_decay, learning_rate;

  __device__ void start(const StepState& step) { learning_rate = static_cast<float>(step.learning_rate); }
  __device__ void update(float& weight, float gradient, float& square, float& delta_square) const {
    gradient = fmaf(weight_decay, weight, gradient);
    square = fmaf(rho, square, one_minus_rho * gradient * gradient);
    const float delta = sqrtf(delta_square + epsilon) / sqrtf(square + epsilon) * gradient;
    delta_square = fmaf(rho, delta_square, one_minus_rho * delta * delta);
    weight = fmaf(-learning_rate, delta, weight);
  }
};

struct Adam {
  static constexpr int states = 2;
  float beta1, one_minus_beta1, log_beta1;
  float beta2, one_minus_beta2, log_beta2;
  float epsilon, weight_decay;
  bool decoupled;
  float learning_rate, step_size, second_correction;

  // The bias corrections 1 - beta^step, as -expm1(step * log(beta)): in f32 without the loss of digits of the subtraction.
  __device__ void start(const StepState& state) {
    const float step = static_cast<float>(state.step + 1);
    learning_rate = static_cast<float>(state.learning_rate);
    step_size = learning_rate / -expm1f(step * log_beta1);
    second_correction = sqrtf(-expm1f(step * log_beta2));
  }
  __device__ void update(float& weight, float gradient, float& first, float& second) const {
    if (decoupled) {
      weight = fmaf(-learning_rate * weight_decay, weight, weight);
    } else {
      gradient = fmaf(weight_decay, weight, gradient);
    }
    first = fmaf(beta1, first, one_minus_beta1 * gradient);
    second = fmaf(beta2, second, one_minus_beta2 * gradient * gradient);
    weight = fmaf(-step_size, first / (sqrtf(second) / second_correction + epsilon), weight);
  }
};

struct Rmsprop {
  static constexpr int states = 1;
  float alpha, one_minus_alpha, epsilon, weight_decay, momentum, learning_rate;

  __device__ void start(const StepState& step) { learning_rate = static_cast<float>(step.learning_rate); }
  // The gradient over the root of its mean square.
  __device__ float direction(float weight, float gradient, float& square) const {
    gradient = fmaf(weight_decay, weight, gradient);
    square = fmaf(alpha, square, one_minus_alpha * gradient * gradient);
    return gradient / (sqrtf(square) + epsilon);
  }
  __device__ void update(float& weight, float gradient, float& square, float&) const {
    weight = fmaf(-learning_rate, direction(weight, gradient, square), weight);
  }
};

struct RmspropMomentum : Rmsprop {
  static constexpr int states = 2;
  __device__ void update(float& weight, float gradient, float& square, float& velocity) const {
    velocity = fmaf(momentum, velocity, direction(weight, gradient, square));
    weight = fmaf(-learning_rate, velocity, weight);
  }
};

// V is float4 or float; all memory of the tensor is aligned for it.
template <class V, class Rule>
__device__ void update_vector(const Tensor& t, std::int64_t i, const Rule& rule) {
  constexpr int width = sizeof(V) / sizeof(float);
  union Lanes {
    V vector;
    float lane[width];
  };
  Lanes weight, gradient, state0{}, state1{};
  weight.vector = load<V>(t.weight + i);
  gradient.vector = load<V>(t.gradient + i);
  if constexpr (Rule::states > 0) state0.vector = load<V>(t.state0 + i);
  if constexpr (Rule::states > 1) state1.vector = load<V>(t.state1 + i);
  ALMA_UNROLL
  for (int j = 0; j < width; ++j) rule.update(weight.lane[j], gradient.lane[j], state0.lane[j], state1.lane[j]);
  store<V>(t.weight + i, weight.vector);
  if constexpr (Rule::states > 0) store<V>(t.state0 + i, state0.vector);
  if constexpr (Rule::states > 1) store<V>(t.state1 + i, state1.vector);
}

template <class Rule>
__device__ bool vectors_fit(const Tensor& t) {
  std::uintptr_t addresses = reinterpret_cast<std::uintptr_t>(t.weight) | reinterpret_cast<std::uintptr_t>(t.gradient);
  if constexpr (Rule::states > 0) addresses |= reinterpret_cast<std::uintptr_t>(t.state0);
  if constexpr (Rule::states > 1) addresses |= reinterpret_cast<std::uintptr_t>(t.state1);
  return addresses % sizeof(float4) == 0;
}

template <class Rule>
__global__ void __launch_bounds__(kBlock) update_kernel(TensorTable<Tensor> table, Rule rule, const StepState* state) {
  rule.start(load<StepState>(state));
  const auto [tensor, begin, end] = part_of<kBlockElements>(table, static_cast<int>(blockIdx.x));
  const Tensor& t = table.tensors[tensor];
  const std::int64_t vector_end = vectors_fit<Rule>(t) ? end - (end - begin) % 4 : begin;
  for (std::int64_t i = begin + 4 * threadIdx.x; i < vector_end; i += 4 * kBlock) update_vector<float4>(t, i, rule);
  for (std::int64_t i = vector_end + threadIdx.x; i < end; i += kBlock) update_vector<float>(t, i, rule);
}

template <class Rule>
void update_all(std::span<const OptimizerSlot> slots, const Rule& rule, const StepState* state, cudaStream_t stream) {
  std::vector<Tensor> tensors;
  for (const OptimizerSlot& slot : slots)
    tensors.push_back({slot.weight.as<float>(), slot.gradient.as<float>(), slot.state0.as<float>(), slot.state1.as<float>(),
                       slot.weight.shape.count()});
  in_tables<kBlockElements, Tensor>(tensors, [&](const TensorTable<Tensor>& table, int blocks) {
    launch(update_kernel<Rule>, blocks, kBlock, 0, stream, table, rule, state);
  });
}

void update_by(const SgdRule& rule, std::span<const OptimizerSlot> slots, const StepState* state, cudaStream_t stream) {
  Sgd plain{};
  plain.momentum = static_cast<float>(rule.momentum);
  plain.weight_decay = static_cast<float>(rule.weight_decay);
  plain.nesterov = rule.nesterov;
  if (rule.momentum == 0) {
    update_all(slots, plain, state, stream);
  } else {
    update_all(slots, SgdMomentum{plain}, state, stream);
  }
}

void update_by(const AdadeltaRule& rule, std::span<const OptimizerSlot> slots, const StepState* state, cudaStream_t stream) {
  Adadelta kernel_rule{};
  kernel_rule.rho = static_cast<float>(rule.rho);
  kernel_rule.one_minus_rho = static_cast<float>(1 - rule.rho);
  kernel_rule.epsilon = static_cast<float>(rule.epsilon);
  kernel_rule.weight_decay = static_cast<float>(rule.weight_decay);
  update_all(slots, kernel_rule, state, stream);
}

void update_by(const AdamRule& rule, std::span<const OptimizerSlot> slots, const StepState* state, cudaStream_t stream) {
  Adam kernel_rule{};
  kernel_rule.beta1 = static_cast<float>(rule.beta1);
  kernel_rule.one_minus_beta1 = static_cast<float>(1 - rule.beta1);
  kernel_rule.log_beta1 = static_cast<float>(std::log(rule.beta1));
  kernel_rule.beta2 = static_cast<float>(rule.beta2);
  kernel_rule.one_minus_beta2 = static_cast<float>(1 - rule.beta2);
  kernel_rule.log_beta2 = static_cast<float>(std::log(rule.beta2));
  kernel_rule.epsilon = static_cast<float>(rule.epsilon);
  kernel_rule.weight_decay = static_cast<float>(rule.weight_decay);
  kernel_rule.decoupled = rule.decoupled;
  update_all(slots, kernel_rule, state, stream);
}

void update_by(const RmspropRule& rule, std::span<const OptimizerSlot> slots, const StepState* state, cudaStream_t stream) {
  Rmsprop plain{};
  plain.alpha = static_cast<float>(rule.alpha);
  plain.one_minus_alpha = static_cast<float>(1 - rule.alpha);
  plain.epsilon = static_cast<float>(rule.epsilon);
  plain.weight_decay = static_cast<float>(rule.weight_decay);
  plain.momentum = static_cast<float>(rule.momentum);
  if (rule.momentum == 0) {
    update_all(slots, plain, state, stream);
  } else {
    update_all(slots, RmspropMomentum{plain}, state, stream);
  }
}

}  // namespace

void CudaBackend::optimize(std::span<const OptimizerSlot> slots, const OptimizerRule& rule, const StepState* state) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::optimize(*this, slots, rule, state);
  if (!slots.empty()) require_f32("optimize", slots.front().weight);
  std::visit([&](const auto& r) { update_by(r, slots, state, stream_); }, rule);
}

}  // namespace alma
