// Memory and optimizers: memory/<primitive>/<size>, optim/<rule>/<width>.
#include "bench/bench.h"
#include "engine/nn.h"
#include "engine/optim.h"
#include "models/mlp.h"

namespace alma::bench {

namespace {

Cost moved(Count bytes) { return {0, 0, bytes}; }

void register_copies(Suite& suite, const std::string& size, std::int64_t bytes) {
  const auto count = static_cast<Count>(bytes);
  const auto array = [&suite, bytes] { return Tensor::zeros(suite.context, {bytes}, DType::u8); };
  add(suite, "memory/copy/" + size, [=]() -> Work { return [from = array(), to = array()] { to.copy_from(from); }; },
      {moved(2 * count), 0, Traffic::copy});
  add(suite, "memory/fill/" + size, [=, &suite]() -> Work { return [x = ones(suite, {bytes / 4})] { x.fill(1); }; },
      {moved(count), 0});
  // The other side is host memory, which is also read or written.
  add(suite, "memory/upload/" + size,
      [=]() -> Work {
        return [to = array(), host = std::vector<std::uint8_t>(static_cast<std::size_t>(bytes))] {
          to.assign(std::span<const std::uint8_t>(host));
        };
      },
      {moved(2 * count), 0, Traffic::copy});
  add(suite, "memory/download/" + size,
      [=]() -> Work {
        return [from = array(), host = std::vector<std::uint8_t>(static_cast<std::size_t>(bytes))]() mutable {
          from.backend().download(from.in().data, host.data(), host.size());
        };
      },
      {moved(2 * count), 0, Traffic::copy});
}

/// A model's tensors with gradients and optimizer states, and the cost of one update as the optimizer reports it.
struct Update {
  Update(Suite& suite, std::int64_t width, const OptimizerRule& rule)
      : model(make_mlp(suite.context, {784, width, 10, 2, 2}, RandomStream(0, "bench"))),
        step(Tensor::zeros(suite.context, {sizeof(StepState)}, DType::u8)) {
    const std::vector<NamedTensor> parameters = named_parameters(*model);
    Optimizer optimizer(parameters, rule, 0);
    for (const auto& [name, weight] : parameters) weight.backward(ones(suite, weight.shape()));
    CostScope scope(suite.context);
    optimizer.step();
    cost = scope.cost();
    const int states = states_of(rule);
    const auto array = [&](const Tensor& like) { return tensors.emplace_back(ones(suite, like.shape())).out(); };
    for (const auto& [name, weight] : parameters)
      slots.push_back({weight.out(), array(weight), states > 0 ? array(weight) : Out{}, states > 1 ? array(weight) : Out{}});
  }
  std::unique_ptr<Module> model;
  Tensor step;
  std::vector<Tensor> tensors;
  std::vector<OptimizerSlot> slots;
  Cost cost;
};

void add_optimizer(Suite& suite, const std::string& name, const OptimizerRule& rule) {
  for (const std::int64_t width : {4, 16, 64}) {
    const Cost cost = Update(suite, width, rule).cost;
    add(suite, "optim/" + name + "/h" + std::to_string(width),
        [=, &suite]() -> Work {
          return [&suite, rule, update = std::make_shared<Update>(suite, width, rule)] {
            suite.context.backend().optimize(update->slots, rule, static_cast<const StepState*>(update->step.in().data));
          };
        },
        {cost, 0, Traffic::in_place});
  }
}

}  // namespace

void register_memory(Suite& suite) {
  register_copies(suite, "64KiB", 64 << 10);
  register_copies(suite, "1MiB", 1 << 20);
  register_copies(suite, "32MiB", 32 << 20);
  // The allocator has a cached block, as in every step but the first.
  add(suite, "memory/tensor/1KiB",
      [&suite]() -> Work { return [&suite] { Tensor::empty(suite.context, {256}, DType::f32); }; });
}

void register_optimizers(Suite& suite) {
  add_optimizer(suite, "sgd_momentum", SgdRule{0.9, 0, false});
  add_optimizer(suite, "adadelta", AdadeltaRule{});
  add_optimizer(suite, "adam", AdamRule{});
  add_optimizer(suite, "rmsprop", RmspropRule{});
}

}  // namespace alma::bench
