// The simulated graph API of cuDNN: a convolution as a program would set it up, and each kind of misuse refused by name.
#include <cudnn.h>

#include <array>
#include <cmath>

#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

using Sizes = std::array<std::int64_t, 4>;

/// What a test may change.
struct Problem {
  Sizes x{2, 4, 5, 6}, w{3, 4, 3, 3}, y{2, 3, 3, 4};
  std::int64_t strides_in_x = 1;  // the innermost one
  std::int64_t alignment = 4, dilation = 1, stride = 1, padding = 0, post_padding = 0, id_of_w = 2;
  cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  cudnnDataType_t sums = CUDNN_DATA_FLOAT, type_of_y = CUDNN_DATA_FLOAT;
  float beta = 0;
  bool finalize_x = true, finalize_pack = true, graph_of_tensor = false;
  std::size_t engine = 3;
  std::vector<std::int64_t> ids{1, 2, 3};
  std::size_t pointers = 3, offset_of_x = 0, workspace = 80 * 1024, workspace_offset = 0;
  bool x_on_host = false, y_is_x = false, short_w = false, other_handle = false;
};

std::vector<float> wave(std::size_t count, float phase) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<float>(i) * 1.3f + phase);
  return values;
}
std::size_t count_of(const Sizes& s) { return static_cast<std::size_t>(s[0] * s[1] * s[2] * s[3]); }

/// The library's objects of one test; they go with it.
class Cudnn {
 public:
  Cudnn() { cudnnCreate(&handle_); }
  ~Cudnn() {
    for (const cudnnBackendDescriptor_t descriptor : made_) cudnnBackendDestroyDescriptor(descriptor);
    cudnnDestroy(handle_);
  }
  Cudnn(const Cudnn&) = delete;
  Cudnn& operator=(const Cudnn&) = delete;

  cudnnHandle_t handle() const { return handle_; }
  cudnnBackendDescriptor_t make(cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t descriptor = nullptr;
    cudnnBackendCreateDescriptor(type, &descriptor);
    return made_.emplace_back(descriptor);
  }
  template <class T>
  static void set(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                  const std::vector<T>& values) {
    cudnnBackendSetAttribute(descriptor, name, type, static_cast<std::int64_t>(values.size()), values.data());
  }
  static void set(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value) {
    cudnnBackendSetAttribute(descriptor, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
  }

  cudnnBackendDescriptor_t tensor(const Sizes& s, std::int64_t id, const Problem& p, cudnnDataType_t type,
                                  std::int64_t inner) {
    const auto t = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set<cudnnDataType_t>(t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, {type});
    set<std::int64_t>(t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, {s[0], s[1], s[2], s[3]});
    set<std::int64_t>(t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, {s[1] * s[2] * s[3], s[2] * s[3], s[3], inner});
    set<std::int64_t>(t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, {id});
    set<std::int64_t>(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, {p.alignment});
    return t;
  }

  cudnnBackendDescriptor_t convolution(const Problem& p) {
    const auto c = make(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set<std::int64_t>(c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, {2});
    set<cudnnDataType_t>(c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, {p.sums});
    set<cudnnConvolutionMode_t>(c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, {p.mode});
    set<std::int64_t>(c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, {p.stride, p.stride});
    set<std::int64_t>(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, {p.padding, p.padding});
    set<std::int64_t>(c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, {p.post_padding, p.post_padding});
    set<std::int64_t>(c, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, {p.dilation, p.dilation});
    cudnnBackendFinalize(c);
    return c;
  }

  cudnnBackendDescriptor_t graph(const Problem& p) {
    const auto x = tensor(p.x, 1, p, CUDNN_DATA_FLOAT, p.strides_in_x), w = tensor(p.w, p.id_of_w, p, CUDNN_DATA_FLOAT, 1),
               y = tensor(p.y, 3, p, p.type_of_y, 1);
    if (p.finalize_x) cudnnBackendFinalize(x);
    cudnnBackendFinalize(w);
    cudnnBackendFinalize(y);
    const auto operation = make(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    set(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    set(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    set(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution(p));
    set<float>(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, {1});
    set<float>(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, {p.beta});
    cudnnBackendFinalize(operation);
    const auto made = make(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set<cudnnHandle_t>(made, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, {handle_});
    set(made, CUDNN_ATTR_OPERATIONGRAPH_OPS, p.graph_of_tensor ? x : operation);
    cudnnBackendFinalize(made);
    return made;
  }

  std::vector<cudnnBackendDescriptor_t> configurations(const Problem& p) {
    const auto heuristic = make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph(p));
    set<cudnnBackendHeurMode_t>(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, {CUDNN_HEUR_MODE_A});
    cudnnBackendFinalize(heuristic);
    std::int64_t count = 0;
    cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr);
    std::vector<cudnnBackendDescriptor_t> configs;
    for (std::int64_t i = 0; i < count; ++i) configs.push_back(make(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR));
    cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &count,
                             configs.data());
    return configs;
  }

  cudnnBackendDescriptor_t plan(const Problem& p) {
    const auto made = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    set<cudnnHandle_t>(made, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, {handle_});
    set(made, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configurations(p).at(p.engine));
    cudnnBackendFinalize(made);
    return made;
  }

 private:
  cudnnHandle_t handle_ = nullptr;
  std::vector<cudnnBackendDescriptor_t> made_;
};

std::vector<float> run(const Problem& p) {
  Cudnn cudnn, another;
  std::vector<float> host = wave(count_of(p.x), 0);
  DeviceArray<float> x(host), w(wave(count_of(p.w) - (p.short_w ? 1 : 0), 1)), y(count_of(p.y));
  DeviceArray<std::uint8_t> workspace(p.workspace);
  const auto plan = cudnn.plan(p), pack = cudnn.make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  std::vector<void*> pointers{(p.x_on_host ? host.data() : x.data()) + p.offset_of_x, w.data(),
                              p.y_is_x ? x.data() : y.data()};
  pointers.resize(p.pointers);
  Cudnn::set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, p.ids);
  Cudnn::set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, pointers);
  Cudnn::set<void*>(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, {workspace.data() + p.workspace_offset});
  if (p.finalize_pack) cudnnBackendFinalize(pack);
  cudnnBackendExecute(p.other_handle ? another.handle() : cudnn.handle(), plan, pack);
  return y.values();
}

// The largest error against plain loops in f64.
double error_of_engine(std::size_t engine) {
  Problem p;
  p.engine = engine;
  const std::vector<float> y = run(p), x = wave(count_of(p.x), 0), w = wave(count_of(p.w), 1);
  double worst = 0;
  std::size_t at = 0;
  for (std::int64_t n = 0; n < p.y[0]; ++n)
    for (std::int64_t k = 0; k < p.y[1]; ++k)
      for (std::int64_t i = 0; i < p.y[2]; ++i)
        for (std::int64_t j = 0; j < p.y[3]; ++j) {
          double sum = 0;
          for (std::int64_t c = 0; c < p.x[1]; ++c)
            for (std::int64_t r = 0; r < 3; ++r)
              for (std::int64_t s = 0; s < 3; ++s)
                sum +=
                    static_cast<double>(x[static_cast<std::size_t>(((n * p.x[1] + c) * p.x[2] + i + r) * p.x[3] + j + s)]) *
                    w[static_cast<std::size_t>(((k * p.x[1] + c) * 3 + r) * 3 + s)];
          worst = std::max(worst, std::fabs(y[at++] - sum));
        }
  return worst;
}

TEST(SimCudnn, EnginesDifferAsTheirNotesSay) {
  const double f32 = error_of_engine(3), tf32 = error_of_engine(2), bf16 = error_of_engine(1);
  EXPECT_LT(f32, 1e-5);
  EXPECT_GT(tf32, 10 * f32);
  EXPECT_GT(bf16, 2 * tf32);
  Problem p;
  p.engine = 0;
  EXPECT_NE(run(p), run(p)) << "the engine without an order";
  p.engine = 3;
  EXPECT_EQ(run(p), run(p));
}

TEST(SimCudnn, RefusesMisuse) {
  const auto error = [](auto change) {
    Problem p;
    change(p);
    return error_of([&] { run(p); });
  };
  // descriptors
  expect_has(error([](Problem& p) { p.finalize_x = false; }), "is not finalised");
  expect_has(error([](Problem& p) { p.finalize_pack = false; }), "the variant pack is not finalised");
  expect_has(error([](Problem& p) { p.strides_in_x = 2; }), "only packed NCHW tensors");
  expect_has(error([](Problem& p) { p.alignment = 3; }), "power of two");
  expect_has(error([](Problem& p) { p.x[0] = 0; }), "every size of a tensor is at least 1");
  expect_has(error([](Problem& p) { p.dilation = 2; }), "dilations are not simulated");
  expect_has(error([](Problem& p) { p.stride = 0; }), "strides are at least 1");
  expect_has(error([](Problem& p) { p.post_padding = 1; }), "different paddings");
  expect_has(error([](Problem& p) { p.mode = CUDNN_CONVOLUTION; }), "only cross-correlation");
  expect_has(error([](Problem& p) { p.sums = CUDNN_DATA_BFLOAT16; }), "f32 sums only");
  expect_has(error([](Problem& p) { p.type_of_y = CUDNN_DATA_BFLOAT16; }), "must have one type");
  expect_has(error([](Problem& p) { p.type_of_y = CUDNN_DATA_HALF; }), "f32 and bf16 only");
  expect_has(error([](Problem& p) { p.y[2] = 4; }), "dimension 2 of y does not follow from 5 of x, 3 of w");
  expect_has(error([](Problem& p) { p.w[1] = 3; }), "make no groups");
  expect_has(error([](Problem& p) { p.id_of_w = 1; }), "must have different ids");
  expect_has(error([](Problem& p) { p.beta = 1; }), "only alpha 1 and beta 0");
  expect_has(error([](Problem& p) { p.graph_of_tensor = true; }), "is no operation");
  // variant packs
  expect_has(error([](Problem& p) { p.ids = {1, 2, 4}; }), "the variant pack has no tensor 3");
  expect_has(error([](Problem& p) { p.ids = {1, 2, 2}; }), "names an id twice");
  expect_has(error([](Problem& p) { p.pointers = 2; }), "3 ids and 2 pointers");
  expect_has(error([](Problem& p) {
               p.ids = {1, 2, 3, 4};
               p.pointers = 4;
             }),
             "the plan has 3 tensors, the variant pack 4");
  // memory
  expect_has(error([](Problem& p) { p.workspace = 1000; }), "the workspace reaches 81920 bytes far");
  expect_has(error([](Problem& p) {
               p.workspace = 100 * 1024;
               p.workspace_offset = 4;
             }),
             "the workspace is not aligned to 16 bytes");
  expect_has(error([](Problem& p) { p.x_on_host = true; }), "is not memory of the device");
  expect_has(error([](Problem& p) { p.short_w = true; }), "w reaches 432 bytes far");
  expect_has(error([](Problem& p) {
               p.alignment = 16;
               p.x[0] = 1;
               p.y[0] = 1;
               p.offset_of_x = 1;
             }),
             "x reaches");
  expect_has(error([](Problem& p) { p.y_is_x = true; }), "y overlaps x");
  expect_has(error([](Problem& p) { p.other_handle = true; }), "made with another handle");
}

TEST(SimCudnn, RefusesAttributesThatAreNotThere) {
  Cudnn cudnn;
  const auto tensor = cudnn.make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  const std::int64_t one = 1, three[3] = {1, 2, 3};
  const auto set = [&](cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count) {
    return error_of([&] { cudnnBackendSetAttribute(tensor, name, type, count, three); });
  };
  expect_has(set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_FLOAT, 1), "has type 3, got type 4");
  expect_has(set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 3), "has 4 elements, got 3");
  expect_has(set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1), "is not simulated");
  expect_has(set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1), "is not simulated");
  expect_has(error_of([&] { cudnnBackendFinalize(tensor); }), "was not set");
  expect_has(error_of([&] { cudnnBackendSetAttribute(nullptr, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &one); }),
             "no such handle");
  expect_has(error_of([&] { cudnn.make(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR); }), "are not simulated");
  std::int64_t count = 0;
  expect_has(error_of([&] {
               cudnnBackendGetAttribute(cudnn.make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                        CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr);
             }),
             "is not finalised");
}

}  // namespace
}  // namespace alma::test
