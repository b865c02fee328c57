// Complete training steps of the MNIST networks: gather, forward, backward, Adadelta; batch 128.
#include "bench/bench.h"
#include "engine/ops_images.h"
#include "engine/ops_loss.h"
#include "engine/optim.h"
#include "models/mlp.h"

namespace alma::bench {

namespace {

struct Step {
  Step(Context& context, std::int64_t width, std::int64_t experts)
      : images{Tensor::full(context, {1000, 1, 28, 28}, DType::u8, 100), Tensor::zeros(context, {1000}, DType::i32),
               normalisation(std::vector<float>{0.1307f}, std::vector<float>{0.3081f})},
        indices(Tensor::zeros(context, {128}, DType::i32)),
        model(make_mlp(context, {784, width, 10, experts, 2}, RandomStream(0, "bench"))),
        optimizer(named_parameters(*model), AdadeltaRule{}, 1.0) {}
  void run() {
    const Batch batch = batch_of_images(images, indices);
    softmax_cross_entropy(model->forward(batch.x), batch.y).backward();
    optimizer.step();
  }
  DeviceImages images;
  Tensor indices;
  std::unique_ptr<Module> model;
  Optimizer optimizer;
};

}  // namespace

void register_steps(Context& context) {
  for (const std::int64_t experts : {1, 2})
    for (const std::int64_t width : {4, 16, 64}) {
      const std::string name = std::string("step/") + (experts == 1 ? "mlp" : "mixture") + "/h" + std::to_string(width);
      const auto step = std::make_shared<Step>(context, width, experts);
      benchmark::RegisterBenchmark(name.c_str(), [&context, step](benchmark::State& state) {
        measure(state, context, [&] { step->run(); });
      })->Unit(benchmark::kMicrosecond);
    }
}

}  // namespace alma::bench
