// Ops at the shapes of the MNIST networks: batch 128, 784 inputs, width h.
#include <functional>

#include "bench/bench.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_images.h"
#include "engine/ops_loss.h"
#include "engine/ops_matmul.h"
#include "engine/ops_mix.h"

namespace alma::bench {

namespace {

constexpr std::int64_t kBatch = 128, kInputs = 784, kClasses = 10;

Tensor ones(Context& context, const Shape& shape) { return Tensor::full(context, shape, DType::f32, 1); }

void add(const std::string& name, Context& context, std::function<void()> work) {
  benchmark::RegisterBenchmark(name.c_str(), [&context, work = std::move(work)](benchmark::State& state) {
    measure(state, context, work);
  })->Unit(benchmark::kMicrosecond);
}

}  // namespace

void register_ops(Context& context) {
  const Tensor x = ones(context, {kBatch, kInputs});
  for (const std::int64_t h : {4, 16, 64}) {
    const std::string width = "/h" + std::to_string(h);
    const Tensor w = ones(context, {h, kInputs}), b = ones(context, {h}), dz = ones(context, {kBatch, h});
    add("ops/linear_relu" + width, context, [=] { linear(x, w, b, true); });
    add("ops/linear_weight_gradient" + width, context, [=] { matmul(dz, x, true, false); });
    add("ops/mix2" + width, context, [=, gates = ones(context, {kBatch, 2})] { mix(gates, {dz, dz}); });
  }
  const Tensor logits = ones(context, {kBatch, kClasses});
  const Tensor labels = Tensor::zeros(context, {kBatch}, DType::i32);
  add("ops/softmax", context, [=] { softmax(logits); });
  add("ops/softmax_cross_entropy", context, [=] { softmax_cross_entropy(logits, labels); });
  add("ops/add", context, [=] { x + x; });
  const DeviceImages images{
      Tensor::zeros(context, {1000, 1, 28, 28}, DType::u8), Tensor::zeros(context, {1000}, DType::i32), {}};
  add("ops/gather_images", context, [=] { gather_images(images, labels); });
}

}  // namespace alma::bench
