#include "kernels/cuda/conv.h"

#include <algorithm>

#include "kernels/cuda/alignment.h"
#include "kernels/cuda/checked.h"
#include "kernels/cuda/cudnn_descriptor.h"

namespace alma {
namespace {

// An engine that wants more is passed over.
constexpr std::int64_t kMostWorkspace = std::int64_t{1} << 30;
// Names of the tensors within a graph.
constexpr std::int64_t kX = 'x', kW = 'w', kY = 'y';

using Sizes = std::array<std::int64_t, 4>;

constexpr std::uint32_t kMostAlignment = 16;

CudnnDescriptor make_tensor(std::int64_t id, const Sizes& sizes, DType dtype, std::int64_t alignment) {
  const cudnnDataType_t type = dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  const Sizes strides{sizes[1] * sizes[2] * sizes[3], sizes[2] * sizes[3], sizes[3], 1};
  CudnnDescriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type);
  tensor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, sizes.data(), sizes.size());
  tensor.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, strides.data(), strides.size());
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, id);
  tensor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, alignment);
  tensor.finalize();
  return tensor;
}

// The groups follow from the channels of x and w.
CudnnDescriptor make_convolution(const std::array<std::int64_t, 4>& strides_and_paddings) {
  const std::array<std::int64_t, 2> dilations{1, 1};
  const std::int64_t *strides = strides_and_paddings.data(), *paddings = strides + 2;
  CudnnDescriptor convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  convolution.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, std::int64_t{2});
  convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  convolution.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
  convolution.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, strides, 2);
  convolution.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, paddings, 2);
  convolution.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, paddings, 2);
  convolution.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, dilations.data(), 2);
  convolution.finalize();
  return convolution;
}

struct OperationNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
};
OperationNames names_of(ConvKind kind) {
  switch (kind) {
    case ConvKind::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    case ConvKind::data_gradient:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    case ConvKind::weight_gradient: break;
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

// Winograd and FFT are f32 arithmetic too, if with larger errors.
bool is_acceptable(const CudnnDescriptor& config, Math math) {
  const std::vector<CudnnDescriptor> engine =
      config.descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  for (const auto note :
       engine.at(0).values<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE)) {
    if (note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC || note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
      return false;
    if (note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS && math != Math::bf16) return false;
    if (note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE && math == Math::f32) return false;
  }
  return true;
}

}  // namespace

/// An execution plan and what it is made of.
struct Conv::Plan {
  std::vector<CudnnDescriptor> parts;
  std::vector<CudnnDescriptor> execution;  // one
  std::int64_t workspace = 0;
};

Conv::Conv(cudaStream_t stream) {
  check_status(cudnnCreate(&handle_), "cudnnCreate");
  check_status(cudnnSetStream(handle_, stream), "cudnnSetStream");
}

Conv::~Conv() {
  plans_.clear();
  cudnnDestroy(handle_);
}

Conv::Key Conv::key_of(const ConvCall& call) {
  const ConvGeometry& g = call.geometry;
  return {call.kind,
          call.dtype,
          call.math,
          call.x,
          call.w,
          call.y,
          {g.stride_h, g.stride_w, g.padding_h, g.padding_w},
          {alignment_of(call.x_data, kMostAlignment), alignment_of(call.w_data, kMostAlignment),
           alignment_of(call.y_data, kMostAlignment)}};
}

std::unique_ptr<Conv::Plan> Conv::make_plan(const Key& key) const {
  auto plan = std::make_unique<Plan>();
  const OperationNames names = names_of(key.kind);
  const CudnnDescriptor& x = plan->parts.emplace_back(make_tensor(kX, key.x, key.dtype, key.alignments[0]));
  CudnnDescriptor operation(names.type);
  operation.set(names.x, x);
  operation.set(names.w, plan->parts.emplace_back(make_tensor(kW, key.w, key.dtype, key.alignments[1])));
  operation.set(names.y, plan->parts.emplace_back(make_tensor(kY, key.y, key.dtype, key.alignments[2])));
  operation.set(names.convolution, plan->parts.emplace_back(make_convolution(key.strides_and_paddings)));
  operation.set(names.alpha, CUDNN_TYPE_FLOAT, 1.0f);
  operation.set(names.beta, CUDNN_TYPE_FLOAT, 0.0f);
  operation.finalize();
  CudnnDescriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle_);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  graph.finalize();

  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    CudnnDescriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
    if (cudnnBackendFinalize(heuristic.get()) != CUDNN_STATUS_SUCCESS) continue;  // has no advice for this graph
    for (CudnnDescriptor& config :
         heuristic.descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)) {
      if (!is_acceptable(config, key.math)) continue;
      CudnnDescriptor execution(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      execution.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, handle_);
      execution.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
      if (cudnnBackendFinalize(execution.get()) != CUDNN_STATUS_SUCCESS) continue;  // not on this GPU after all
      plan->workspace = execution.values<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64).at(0);
      if (plan->workspace > kMostWorkspace) continue;
      plan->execution.push_back(std::move(execution));
      plan->parts.push_back(std::move(operation));
      plan->parts.push_back(std::move(graph));
      plan->parts.push_back(std::move(config));
      return plan;
    }
  }
  const auto shape = [](const Sizes& s) { return Shape{s[0], s[1], s[2], s[3]}; };
  fail("[conv2d] cuDNN has no deterministic engine for math ", name_of(key.math), " with x ", shape(key.x), ", w ",
       shape(key.w), ", y ", shape(key.y), " in ", key.dtype);
}

Conv::Plan& Conv::plan_for(const ConvCall& call) {
  const Key key = key_of(call);
  auto found = plans_.find(key);
  if (found == plans_.end()) found = plans_.emplace(key, make_plan(key)).first;
  return *found->second;
}

std::size_t Conv::workspace_bytes(const ConvCall& call) { return static_cast<std::size_t>(plan_for(call).workspace); }

void Conv::run(const ConvCall& call, void* workspace) {
  const std::array<std::int64_t, 3> ids{kX, kW, kY};
  const std::array<void*, 3> pointers{call.x_data, call.w_data, call.y_data};
  CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, ids.data(), ids.size());
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, pointers.data(), pointers.size());
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
  pack.finalize();
  check_status(cudnnBackendExecute(handle_, plan_for(call).execution[0].get(), pack.get()), "cudnnBackendExecute");
}

}  // namespace alma
