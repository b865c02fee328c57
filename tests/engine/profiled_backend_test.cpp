#include "engine/profiled_backend.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <set>

#include "base/random.h"
#include "engine/context.h"
#include "engine/tensor.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

/// Arrays of one backend, filled from one stream of random numbers.
struct Arrays {
  explicit Arrays(const char* device, const ProfileTarget& profile = {})
      : context(device, 1, profile), random(3, "profiled backend") {}

  Tensor input(const Shape& shape, double low = 0.1, double high = 1) {
    std::vector<float> values(static_cast<std::size_t>(shape.count()));
    for (float& value : values) value = static_cast<float>(random.uniform(low, high));
    return keep(Tensor::from(context, shape, values));
  }
  Tensor indices(std::int64_t count, int below) {
    std::vector<std::int32_t> values(static_cast<std::size_t>(count));
    for (std::int32_t& value : values) value = static_cast<std::int32_t>(random.uniform(0, below));
    return keep(Tensor::from(context, {count}, values));
  }
  Out output(const Shape& shape, DType dtype = DType::f32) { return keep(Tensor::zeros(context, shape, dtype)).out(); }
  /// Everything that was written, byte by byte.
  std::string bits() {
    std::string all;
    for (const Tensor& tensor : tensors) {
      std::string bytes(tensor.bytes(), '\0');
      context.backend().download(tensor.in().data, bytes.data(), bytes.size());
      all += bytes;
    }
    return all;
  }

  Context context;
  RandomStream random;
  std::vector<Tensor> tensors;

 private:
  Tensor keep(Tensor tensor) { return tensors.emplace_back(std::move(tensor)); }
};

void products_and_elements(Arrays& a) {
  Backend& backend = a.context.backend();
  const Tensor x = a.input({6, 5}), w = a.input({3, 5}), bias = a.input({3}), y = a.input({6, 3}, -1);
  backend.matmul(x, false, w, true, a.output({6, 3}), {bias, true, false});
  backend.matmul(y, true, x, false, a.output({3, 5}), {});
  backend.matmul(y, false, w, false, a.output({6, 5}), {{}, false, true});
  backend.bias_relu_backward(a.input({6, 3}), y, a.output({6, 3}), a.output({3}));
  for (const UnaryOp op : {UnaryOp::relu, UnaryOp::exp, UnaryOp::log, UnaryOp::sqrt}) backend.unary(op, x, a.output({6, 5}));
  for (const BinaryOp op :
       {BinaryOp::add, BinaryOp::subtract, BinaryOp::multiply, BinaryOp::divide, BinaryOp::relu_gradient})
    backend.binary(op, x, a.input({5}, -1), a.output({6, 5}));
  backend.affine(x, 2, -1, a.output({6, 5}));
  const Tensor images = a.input({2, 2, 5, 4}), filters = a.input({4, 1, 3, 2}), dy = a.input({2, 4, 3, 2});
  const ConvGeometry geometry{.stride_h = 2, .stride_w = 3, .padding_h = 1, .padding_w = 1, .groups = 2};
  backend.conv2d(images, filters, a.input({4}), geometry, a.output({2, 4, 3, 2}));
  backend.conv2d_data_gradient(dy, filters, geometry, a.output({2, 2, 5, 4}));
  backend.conv2d_weight_gradient(images, dy, geometry, a.output({4, 1, 3, 2}), a.output({4}));
  if (backend.image_layout() == Layout::lanes16) {  // the cpu's
    const Shape shape{2, 2, 5, 4};
    Out lanes = a.output({stored_count(shape, Layout::lanes16)});
    lanes.shape = shape;
    lanes.layout = Layout::lanes16;
    backend.convert_layout(images, lanes);
  }
  backend.cast(x, a.output({6, 5}, DType::bf16));
  backend.reduce_sum(x, a.output({1, 5}));
  backend.argmax(x, a.output({6}, DType::i32));
}

void losses_and_rows(Arrays& a) {
  Backend& backend = a.context.backend();
  const Tensor logits = a.input({6, 4}, -2, 2), labels = a.indices(6, 4), dy = a.input({6, 4});
  backend.softmax(logits, a.output({6, 4}));
  backend.softmax_backward(logits, dy, a.output({6, 4}));
  backend.softmax_cross_entropy(logits, labels, 0.5, a.output({6, 4}), a.output({}), a.output({}, DType::i32));
  const Tensor gates = a.input({6, 2});
  const std::vector<In> experts = {a.input({6, 4}).in(), a.input({6, 4}).in()};
  const std::vector<Out> dexperts = {a.output({6, 4}), a.output({6, 4})};
  backend.mix(gates, experts, a.output({6, 4}));
  backend.mix_backward(gates, experts, dy, a.output({6, 2}), dexperts);
  const Tensor pixels =
      Tensor::from(a.context, {3, 1, 2, 2}, std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  const Tensor which = a.indices(5, 3);
  backend.gather_images(pixels, a.indices(3, 9), which, {{0.5f}, {-1.0f}}, a.output({5, 4}), a.output({5}, DType::i32));
  if (backend.most_image_outputs() > 0) {
    const ImageRows rows{pixels, which, {{0.5f}, {-1.0f}}};
    backend.matmul_images(rows, a.input({2, 4}), a.output({5, 2}), {});
    backend.matmul_images_gradient(a.input({5, 2}), rows, a.output({2, 4}));
  }
  const Tensor table = a.input({3, 4});
  backend.gather_rows(table, which, a.output({5, 4}));
  backend.scatter_add_rows(a.input({5, 4}), which, a.output({3, 4}));
}

void dropout_and_routing(Arrays& a) {
  Backend& backend = a.context.backend();
  const Tensor square = a.input({2, 3, 3});
  backend.causal_softmax(square, 0.5, a.output({2, 3, 3}));
  backend.causal_softmax_backward(square, a.input({2, 3, 3}), 0.5, a.output({2, 3, 3}));
  const StepState host{3, 0.1};
  const Tensor state = Tensor::zeros(a.context, {sizeof(StepState)}, DType::u8);
  backend.upload(&host, state.out().data, sizeof host);
  backend.dropout(square, 0.5, {7, static_cast<const StepState*>(state.in().data)}, a.output({2, 3, 3}));
  const Routes routes{a.output({5, 3}),
                      a.output({5}, DType::i32),
                      a.output({5}),
                      a.output({5}, DType::i32),
                      a.output({3, 2}, DType::i32),
                      a.output({3}, DType::i32),
                      a.output({3}),
                      a.output({})};
  backend.route_top1(a.input({5, 3}), routes);
  const Tensor dgate = a.input({5}), rows = a.input({5, 4}), slotted = a.input({3, 2, 4});
  backend.route_top1_backward(routes.probabilities, routes.expert, routes.counts, dgate, a.input({}), a.output({5, 3}));
  backend.route_dispatch(rows, routes.slots, a.output({3, 2, 4}));
  backend.route_dispatch_backward(slotted, routes.expert, routes.position, a.output({5, 4}));
  backend.route_combine(slotted, routes.expert, routes.position, routes.gate, a.output({5, 4}));
  backend.route_combine_backward(slotted, routes.slots, routes.expert, routes.position, routes.gate, rows,
                                 a.output({3, 2, 4}), a.output({5}));
  const std::vector<In> gradients = {rows.in(), dgate.in()};
  backend.gradient_norm(gradients, a.output({}));
}

void norms_and_pools(Arrays& a) {
  Backend& backend = a.context.backend();
  const Tensor x = a.input({6, 4}), gamma = a.input({4}), rows = a.input({6}), dy = a.input({6, 4});
  backend.layer_norm(x, gamma, gamma, 1e-5, a.output({6, 4}), a.output({6}), a.output({6}));
  backend.layer_norm_backward(x, gamma, rows, rows, dy, a.output({6, 4}), a.output({4}), a.output({4}));
  backend.batch_norm(x, gamma, gamma, {}, {}, {}, a.output({6, 4}), a.output({4}), a.output({4}));
  backend.batch_norm_inference(x, gamma, gamma, gamma, gamma, 1e-5, true, a.output({6, 4}));
  backend.batch_norm_backward(x, gamma, gamma, gamma, gamma, dy, a.output({6, 4}), a.output({4}), a.output({4}));
  const Tensor images = a.input({2, 3, 4, 4}), pooled = a.input({2, 3, 2, 2});
  const Out place = a.output({2, 3, 2, 2}, DType::u8);
  backend.max_pool(images, {2, 2, 2}, a.output({2, 3, 2, 2}), place);
  backend.max_pool_backward(pooled, place, {2, 2, 2}, a.output({2, 3, 4, 4}));
  backend.adaptive_average_pool(images, a.output({2, 3, 2, 2}));
  backend.adaptive_average_pool_backward(pooled, a.output({2, 3, 4, 4}));
}

void optimizers_and_memory(Arrays& a) {
  Backend& backend = a.context.backend();
  const StepState host{3, 0.1};
  const Tensor state = Tensor::zeros(a.context, {sizeof(StepState)}, DType::u8);
  backend.upload(&host, state.out().data, sizeof host);
  const auto* step = static_cast<const StepState*>(state.in().data);
  const auto slots = [&] {
    return std::vector<OptimizerSlot>{
        {a.input({4, 3}).out(), a.input({4, 3}).in(), a.input({4, 3}).out(), a.input({4, 3}).out()},
        {a.input({7}).out(), a.input({7}).in(), a.input({7}).out(), a.input({7}).out()}};
  };
  std::vector<OptimizerSlot> with_momentum = slots();
  for (OptimizerSlot& slot : with_momentum) slot.state1 = {};
  backend.optimize(with_momentum, SgdRule{0.9, 0.01, true}, step);
  backend.optimize(slots(), AdadeltaRule{0.9, 1e-6, 0.01}, step);
  backend.optimize(slots(), AdamRule{0.9, 0.99, 1e-7, 0.01, true}, step);
  backend.optimize(slots(), RmspropRule{0.9, 1e-7, 0.01, 0.9}, step);
  const Tensor from = a.input({4, 4});
  backend.copy(from.in().data, 16, a.output({4, 2}).data, 8, 8, 4);
  backend.fill(a.output({5}), 0.25);
  void* memory = backend.allocate(1000);
  backend.deallocate(memory);
  backend.synchronize();
}

constexpr const char* kAllNames[] = {"allocate",
                                     "deallocate",
                                     "upload",
                                     "download",
                                     "copy",
                                     "fill",
                                     "synchronize",
                                     "matmul",
                                     "cast",
                                     "convert_layout",
                                     "conv2d",
                                     "conv2d_data_gradient",
                                     "conv2d_weight_gradient",
                                     "relu",
                                     "exp",
                                     "log",
                                     "sqrt",
                                     "bias_relu_backward",
                                     "add",
                                     "subtract",
                                     "multiply",
                                     "divide",
                                     "affine",
                                     "relu_gradient",
                                     "argmax",
                                     "reduce_sum",
                                     "softmax",
                                     "softmax_backward",
                                     "causal_softmax",
                                     "causal_softmax_backward",
                                     "dropout",
                                     "route_top1",
                                     "route_top1_backward",
                                     "route_dispatch",
                                     "route_dispatch_backward",
                                     "route_combine",
                                     "route_combine_backward",
                                     "gradient_norm",
                                     "mix",
                                     "softmax_cross_entropy",
                                     "sgd",
                                     "adadelta",
                                     "adam",
                                     "rmsprop",
                                     "mix_backward",
                                     "gather_rows",
                                     "gather_images",
                                     "matmul_images",
                                     "matmul_images_gradient",
                                     "scatter_add_rows",
                                     "layer_norm",
                                     "layer_norm_backward",
                                     "batch_norm",
                                     "batch_norm_inference",
                                     "batch_norm_backward",
                                     "max_pool",
                                     "max_pool_backward",
                                     "adaptive_average_pool",
                                     "adaptive_average_pool_backward"};

TEST(ProfiledBackend, EveryPrimitiveGivesTheSameBitsAndIsRecorded) {
  Profiler profiler;
  Arrays plain("cpu"), recorded("cpu", {&profiler, "test"});
  for (Arrays* arrays : {&plain, &recorded}) {
    products_and_elements(*arrays);
    losses_and_rows(*arrays);
    dropout_and_routing(*arrays);
    norms_and_pools(*arrays);
    optimizers_and_memory(*arrays);
  }
  EXPECT_EQ(plain.bits(), recorded.bits());
  const BackendInfo a = plain.context.backend().info(), b = recorded.context.backend().info();
  EXPECT_EQ(a.device + a.level + a.hardware + a.versions, b.device + b.level + b.hardware + b.versions);
  const auto rows = profiler.snapshot().lanes.at(0).primitives;
  for (const char* name : kAllNames) EXPECT_TRUE(rows.contains(name)) << name;
  EXPECT_EQ(rows.size(), std::size(kAllNames));
  EXPECT_EQ(rows.at("matmul").calls, 3);
  EXPECT_EQ(rows.at("relu").calls, 1);
}

constexpr const char* kRecorder = ALMA_BINARY_DIR "/libnvtx_recorder.so";
// Before anything of this program calls NVTX, which looks for its tool once.
const int recorder_is_set = setenv("NVTX_INJECTION64_PATH", kRecorder, 1);

TEST(NvtxRanges, EveryPrimitiveAndPhaseIsOneInTheSimulator) {
  if (!open_simulator()) GTEST_SKIP() << no_simulator;
  ASSERT_EQ(recorder_is_set, 0);
  Arrays arrays("cuda-sim");
  const bool has_convolution = arrays.context.backend().info().versions.find("cuDNN") != std::string::npos;
  if (!has_convolution) GTEST_SKIP() << "this build has no cuDNN";
  void* recorder = dlopen(kRecorder, RTLD_NOW);
  ASSERT_NE(recorder, nullptr) << dlerror();
  const auto count = reinterpret_cast<std::size_t (*)()>(dlsym(recorder, "nvtx_notes"));
  const auto note = reinterpret_cast<const char* (*)(std::size_t)>(dlsym(recorder, "nvtx_note"));
  const std::size_t before = count();
  {
    const ProfileSpan phase(arrays.context, "a phase");
    products_and_elements(arrays);
    losses_and_rows(arrays);
    dropout_and_routing(arrays);
    norms_and_pools(arrays);
    optimizers_and_memory(arrays);
    arrays.bits();
  }
  std::set<std::string> inside;
  int depth = 0;
  for (std::size_t i = before; i < count(); ++i) {
    const std::string name = note(i);
    EXPECT_EQ(depth == 0, name == "a phase") << "all of it is in the phase: " << name;
    depth += name.empty() ? -1 : 1;
    inside.insert(name);
  }
  EXPECT_EQ(depth, 0);
  const std::set<std::string> not_work = {"allocate",       "deallocate",    "synchronize",
                                          "convert_layout", "matmul_images", "matmul_images_gradient"};
  const std::set<std::string> unary = {"relu", "exp", "log", "sqrt"};
  const std::set<std::string> binary = {"add", "subtract", "multiply", "divide", "relu_gradient"};
  const std::set<std::string> rules = {"sgd", "adadelta", "adam", "rmsprop"};
  const auto primitive = [&](const std::string& name) -> std::string {
    return unary.contains(name) ? "unary" : binary.contains(name) ? "binary" : rules.contains(name) ? "optimize" : name;
  };
  for (const std::string name : kAllNames) {
    if (not_work.contains(name)) continue;
    EXPECT_TRUE(inside.contains(primitive(name))) << name;
  }
}

}  // namespace
}  // namespace alma::test
