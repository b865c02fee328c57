#include "kernels/observer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <set>

#include "tests/engine/arrays.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

void products_and_elements(Arrays& a) {
  Backend& backend = a.context.backend();
  const Tensor x = a.input({6, 5}), w = a.input({3, 5}), bias = a.input({3}), y = a.input({6, 3}, -1);
  backend.matmul(x, false, w, true, a.output({6, 3}), {bias, true, false}, Math::f32);
  backend.matmul(y, true, x, false, a.output({3, 5}), {}, Math::f32);
  backend.matmul(y, false, w, false, a.output({6, 5}), {{}, false, true}, Math::f32);
  backend.bias_relu_backward(a.input({6, 3}), y, a.output({6, 3}), a.output({3}));
  for (const UnaryOp op : {UnaryOp::relu, UnaryOp::gelu, UnaryOp::exp, UnaryOp::log, UnaryOp::sqrt})
    backend.unary(op, x, a.output({6, 5}));
  for (const BinaryOp op : {BinaryOp::add, BinaryOp::subtract, BinaryOp::multiply, BinaryOp::divide, BinaryOp::relu_gradient,
                            BinaryOp::gelu_gradient})
    backend.binary(op, x, a.input({5}, -1), a.output({6, 5}));
  backend.affine(x, 2, -1, a.output({6, 5}));
  const Tensor images = a.input({2, 2, 5, 4}), filters = a.input({4, 1, 3, 2}), dy = a.input({2, 4, 3, 2});
  const ConvGeometry geometry{.stride_h = 2, .stride_w = 3, .padding_h = 1, .padding_w = 1, .groups = 2};
  backend.conv2d(images, filters, a.input({4}), geometry, a.output({2, 4, 3, 2}), Math::f32);
  backend.conv2d_data_gradient(dy, filters, geometry, a.output({2, 2, 5, 4}), Math::f32);
  backend.conv2d_weight_gradient(images, dy, geometry, a.output({4, 1, 3, 2}), a.output({4}), Math::f32);
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
  backend.gather_images(pixels, a.indices(3, 9), which, {{0.5f}, {-1.0f}}, a.output({5, 4}), a.output({5}, DType::i32), {});
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
  if (backend.has_causal_attention()) {
    const Tensor qkv = a.input({6, 12}), y = a.input({6, 4}), log_sums = a.input({2, 2, 3});
    backend.causal_attention(qkv, 2, 2, a.output({6, 4}), a.output({2, 2, 3}));
    backend.causal_attention_backward(qkv, y, log_sums, a.input({6, 4}), 2, 2, a.output({6, 12}));
  }
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

bool can_convolve(Arrays& arrays) {
  const BackendInfo info = arrays.context.backend().info();
  return info.device == "cpu" || info.versions.find("cuDNN") != std::string::npos;
}

void everything(Arrays& arrays) {
  products_and_elements(arrays);
  losses_and_rows(arrays);
  dropout_and_routing(arrays);
  norms_and_pools(arrays);
  optimizers_and_memory(arrays);
}

/// Every virtual function of Backend that does work, by name: a new one that nobody calls above, or that a device does not
/// check, is missed.
std::set<std::string> primitives_of_the_backend() {
  std::ifstream file(ALMA_SOURCE_DIR "/kernels/backend.h");
  std::set<std::string> names;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    inside = (inside || line == "class Backend {") && line != "};";
    if (!inside || !line.starts_with("  virtual ")) continue;
    const std::size_t end = line.find('(');  // the name stands before it
    const std::size_t before = line.find_last_of(" ~*&", end);
    names.insert(line.substr(before + 1, end - before - 1));
  }
  for (const char* asks : {"Backend", "info", "image_layout", "has_graphs", "capture", "begin_range", "end_range",
                           "native_stream", "relu_mask_bytes", "most_image_outputs", "has_causal_attention"})
    EXPECT_EQ(names.erase(asks), 1u) << asks;
  EXPECT_GE(names.size(), 45u);
  return names;
}

const std::map<std::string, std::set<std::string>> kinds_of_primitives = {
    {"unary", {"relu", "gelu", "exp", "log", "sqrt"}},
    {"binary", {"add", "subtract", "multiply", "divide", "relu_gradient", "gelu_gradient"}},
    {"optimize", {"sgd", "adadelta", "adam", "rmsprop"}}};
const std::set<std::string> only_the_cpu_has = {"causal_attention", "causal_attention_backward", "convert_layout",
                                                "matmul_images", "matmul_images_gradient"};

struct Seen {
  std::string name, detail;
  std::int64_t start, end;
  std::vector<Shape> shapes;
  std::uint64_t bytes;
};

/// Its clock counts how often it is read.
class Recorder final : public Observer {
 public:
  std::int64_t now() const noexcept override { return ++time_; }
  void primitive(const char* name, const char* detail, std::int64_t start, std::span<const In> arrays,
                 std::uint64_t bytes) noexcept override {
    Seen seen{name, detail, start, now(), {}, bytes};
    for (const In& array : arrays) seen.shapes.push_back(array.shape);
    all.push_back(seen);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const Seen& seen : all) result.push_back(seen.name);
    return result;
  }

  std::vector<Seen> all;

 private:
  mutable std::int64_t time_ = 0;
};

class ObserverTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) != "cpu" && !open_simulator()) GTEST_SKIP() << no_simulator;
  }
};

TEST_P(ObserverTest, EveryPrimitiveIsSeenAndGivesTheSameBits) {
  Recorder recorder;
  Arrays plain(GetParam()), watched(GetParam());
  if (!can_convolve(plain)) GTEST_SKIP() << "this build has no cuDNN";
  watched.context.backend().observe(&recorder);
  everything(plain);
  everything(watched);
  EXPECT_EQ(plain.bits(), watched.bits());
  std::set<std::string> expected, seen;
  for (const std::string& name : primitives_of_the_backend()) {
    const auto kinds = kinds_of_primitives.find(name);
    if (kinds != kinds_of_primitives.end()) {
      expected.insert(kinds->second.begin(), kinds->second.end());
    } else if (std::string(GetParam()) == "cpu" || !only_the_cpu_has.contains(name)) {
      expected.insert(name);
    }
  }
  for (const std::string& name : recorder.names()) seen.insert(name);
  EXPECT_EQ(seen, expected);
  std::int64_t before = 0;
  for (const Seen& each : recorder.all) {  // one after the other, none inside of another
    EXPECT_EQ(each.start, before + 1) << each.name;
    EXPECT_EQ(each.end, before + 2) << each.name;
    before = each.end;
  }
}

TEST_P(ObserverTest, NameDetailArraysAndBytesAreThoseOfTheCall) {
  Recorder recorder;
  Arrays a(GetParam());
  Backend& backend = a.context.backend();
  const Tensor x = a.input({6, 5}), w = a.input({3, 5}), bias = a.input({3});
  const Out y = a.output({6, 3});
  backend.observe(&recorder);
  backend.matmul(x, false, w, true, y, {bias}, Math::f32);
  backend.matmul(w, true, w, false, a.output({5, 5}), {}, Math::f32);
  std::vector<float> host(18);
  backend.download(y.data, host.data(), 72);
  backend.fill(y, 1);
  backend.copy(x.in().data, 20, a.output({4, 2}).data, 8, 8, 4);
  backend.observe(nullptr);
  backend.synchronize();
  std::erase_if(recorder.all, [](const Seen& seen) {  // of output()
    return seen.name == "allocate" || (seen.name == "fill" && seen.bytes != 72);
  });
  ASSERT_EQ(recorder.names(), (std::vector<std::string>{"matmul", "matmul", "download", "fill", "copy"}));
  EXPECT_EQ(recorder.all[0].detail, "a b^T");
  EXPECT_EQ(recorder.all[0].shapes, (std::vector<Shape>{{6, 5}, {3, 5}, {3}, {6, 3}}));
  EXPECT_EQ(recorder.all[0].bytes, 0u) << "its op reports them";
  EXPECT_EQ(recorder.all[1].detail, "a^T b");
  EXPECT_EQ(recorder.all[2].shapes, (std::vector<Shape>{{72}}));
  EXPECT_EQ(recorder.all[2].bytes, 72u);
  EXPECT_EQ(recorder.all[3].bytes, 72u) << "written once";
  EXPECT_EQ(recorder.all[4].bytes, 64u) << "read and written";
}

TEST_P(ObserverTest, WhatAPrimitiveCallsIsPartOfIt) {
  Recorder recorder;
  Arrays a(GetParam());
  Backend& backend = a.context.backend();
  const Tensor x = a.input({4, 0}), w = a.input({3, 0}), bias = a.input({3});
  const Out y = a.output({4, 3});
  backend.observe(&recorder);
  // On cuda it is a fill() and a binary(), and the download waits by synchronize().
  backend.matmul(x, false, w, true, y, {bias}, Math::f32);
  float value = 0;
  backend.download(y.data, &value, sizeof value);
  EXPECT_EQ(recorder.names(), (std::vector<std::string>{"matmul", "download"}));
}

TEST_P(ObserverTest, APrimitiveThatThrowsIsNotSeenAndTheNextOneIs) {
  Recorder recorder;
  Arrays a(GetParam());
  Backend& backend = a.context.backend();
  const Tensor x = a.input({4, 3});
  const Out y = a.output({4, 3});
  backend.observe(&recorder);
  EXPECT_THROW(backend.softmax(x, a.output({3, 4})), Error) << "its check";
  recorder.all.clear();  // of output()
  EXPECT_THROW(backend.cast(x, y), Error) << "after its check";
  EXPECT_EQ(recorder.names(), std::vector<std::string>{});
  backend.softmax(x, y);
  EXPECT_EQ(recorder.names(), std::vector<std::string>{"softmax"});
}

TEST_P(ObserverTest, ThereAreNoGraphsWhileAnObserverLooksOn) {
  Recorder recorder;
  Arrays a(GetParam());
  Backend& backend = a.context.backend();
  const bool has_graphs = backend.has_graphs();
  EXPECT_EQ(has_graphs, std::string(GetParam()) != "cpu");
  backend.observe(&recorder);
  EXPECT_FALSE(backend.has_graphs());
  EXPECT_THROW(backend.capture([] {}), Error);
  backend.observe(nullptr);
  EXPECT_EQ(backend.has_graphs(), has_graphs);
}

INSTANTIATE_TEST_SUITE_P(Devices, ObserverTest, testing::Values("cpu", "cuda-sim"),
                         [](const auto& device) { return std::string(device.param) == "cpu" ? "cpu" : "cuda_sim"; });

TEST(ObservedContext, AProfileHasTheRowsOfItsPrimitives) {
  Profiler profiler;
  Arrays a("cpu", {&profiler, "test"});
  everything(a);
  const auto rows = profiler.snapshot().lanes.at(0).primitives;
  EXPECT_EQ(rows.at("matmul").calls, 3);
  EXPECT_EQ(rows.at("relu").calls, 1);
  EXPECT_TRUE(rows.contains("deallocate") && rows.contains("upload") && rows.contains("rmsprop"));
}

constexpr const char* kRecorder = ALMA_BINARY_DIR "/libnvtx_recorder.so";
// Before anything of this program calls NVTX, which looks for its tool once.
const int recorder_is_set = setenv("NVTX_INJECTION64_PATH", kRecorder, 1);

TEST(NvtxRanges, EveryPrimitiveAndPhaseIsOneInTheSimulator) {
  if (!open_simulator()) GTEST_SKIP() << no_simulator;
  ASSERT_EQ(recorder_is_set, 0);
  Arrays arrays("cuda-sim");
  if (!can_convolve(arrays)) GTEST_SKIP() << "this build has no cuDNN";
  void* recorder = dlopen(kRecorder, RTLD_NOW);
  ASSERT_NE(recorder, nullptr) << dlerror();
  const auto count = reinterpret_cast<std::size_t (*)()>(dlsym(recorder, "nvtx_notes"));
  const auto note = reinterpret_cast<const char* (*)(std::size_t)>(dlsym(recorder, "nvtx_note"));
  const std::size_t before = count();
  {
    const ProfileSpan phase(arrays.context, "a phase");
    everything(arrays);
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
  std::set<std::string> expected = primitives_of_the_backend();
  for (const char* no_work : {"allocate", "deallocate", "synchronize"}) expected.erase(no_work);
  for (const std::string& absent : only_the_cpu_has) expected.erase(absent);
  for (const std::string& name : expected) EXPECT_TRUE(inside.contains(name)) << name;
}

}  // namespace
}  // namespace alma::test
