// What the descriptors of the simulated cuDNN say as a whole.
#include <algorithm>
#include <set>

#include "kernels/sim/cudnn.h"

namespace alma::sim {
namespace {

const char* const kCall = "cudnnBackendFinalize";
using Sizes = std::vector<std::int64_t>;

bool all_at_least(const Sizes& values, std::int64_t least) {
  return std::all_of(values.begin(), values.end(), [least](std::int64_t value) { return value >= least; });
}

std::size_t element_size(const CudnnObject& tensor) {
  switch (tensor.value<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE)) {
    case CUDNN_DATA_FLOAT: return 4;
    case CUDNN_DATA_BFLOAT16: return 2;
    default: fail("[", kCall, "] tensors are simulated in f32 and bf16 only");
  }
}

void check_tensor(const CudnnObject& tensor) {
  const Sizes sizes = tensor.values<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
  const Sizes strides = tensor.values<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
  if (!all_at_least(sizes, 1)) fail("[", kCall, "] every size of a tensor is at least 1");
  if (strides != Sizes{sizes[1] * sizes[2] * sizes[3], sizes[2] * sizes[3], sizes[3], 1})
    fail("[", kCall, "] only packed NCHW tensors are simulated, other strides were given");
  const auto alignment = tensor.value<std::int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
  if (alignment < static_cast<std::int64_t>(element_size(tensor)) || (alignment & (alignment - 1)) != 0)
    fail("[", kCall, "] the alignment of a tensor is a power of two from its elements' size on, got ", alignment);
}

void check_convolution(const CudnnObject& object) {
  if (object.value<std::int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) != 2)
    fail("[", kCall, "] only convolutions in two dimensions are simulated");
  if (object.value<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE) != CUDNN_DATA_FLOAT)
    fail("[", kCall, "] convolutions are simulated with f32 sums only");
  if (object.value<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) != CUDNN_CROSS_CORRELATION)
    fail("[", kCall, "] only cross-correlation is simulated");
  if (object.values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS) != Sizes{1, 1})
    fail("[", kCall, "] dilations are not simulated");
  if (!all_at_least(object.values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES), 1))
    fail("[", kCall, "] strides are at least 1");
  const Sizes before = object.values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
  if (!all_at_least(before, 0)) fail("[", kCall, "] paddings are at least 0");
  if (object.values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS) != before)
    fail("[", kCall, "] different paddings before and after are not simulated");
}

struct Names {
  cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
};
Names names_of(cudnnBackendDescriptorType_t type) {
  switch (type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
      return {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
      return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
      return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
    default: fail("[", kCall, "] a descriptor of type ", static_cast<int>(type), " is no operation");
  }
}

CudnnConvolution::Tensor read_tensor(const CudnnObject& tensor) {
  CudnnConvolution::Tensor result;
  result.id = tensor.value<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
  result.sizes = tensor.values<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
  result.alignment = tensor.value<std::int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
  result.bytes = element_size(tensor);
  for (const std::int64_t size : result.sizes) result.bytes *= static_cast<std::size_t>(size);
  return result;
}

void check_sizes(const CudnnConvolution& c) {
  const Sizes &x = c.x.sizes, &w = c.w.sizes, &y = c.y.sizes;
  if (x[1] % w[1] != 0 || w[0] % c.groups != 0)
    fail("[", kCall, "] ", x[1], " input channels, ", w[1], " of the filter and ", w[0], " outputs make no groups");
  if (y[0] != x[0] || y[1] != w[0])
    fail("[", kCall, "] y must have ", x[0], " images of ", w[0], " channels, got ", y[0], " of ", y[1]);
  for (std::size_t d = 0; d < 2; ++d) {
    const std::int64_t room = x[2 + d] + 2 * c.paddings[d] - w[2 + d];
    if (room < 0 || y[2 + d] != room / c.strides[d] + 1)
      fail("[", kCall, "] dimension ", 2 + d, " of y does not follow from ", x[2 + d], " of x, ", w[2 + d], " of w, stride ",
           c.strides[d], " and padding ", c.paddings[d], ": got ", y[2 + d]);
  }
}

void check_pack(const CudnnObject& pack) {
  const Sizes ids = pack.values<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const std::size_t pointers = pack.values<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS).size();
  if (ids.size() != pointers) fail("[", kCall, "] the variant pack has ", ids.size(), " ids and ", pointers, " pointers");
  if (std::set<std::int64_t>(ids.begin(), ids.end()).size() != ids.size())
    fail("[", kCall, "] the variant pack names an id twice");
}

}  // namespace

CudnnConvolution read_convolution(const CudnnObject& operation) {
  const Names names = names_of(operation.type);
  const auto tensor = [&](cudnnBackendAttributeName_t name) -> const CudnnObject& {
    return part(operation, name, CUDNN_BACKEND_TENSOR_DESCRIPTOR, kCall);
  };
  const CudnnObject& x = tensor(names.x);
  for (const auto other : {names.w, names.y})
    if (element_size(tensor(other)) != element_size(x)) fail("[", kCall, "] x, w and y must have one type");
  const CudnnObject& convolution = part(operation, names.convolution, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, kCall);
  CudnnConvolution c;
  c.kind = operation.type;
  c.narrow = element_size(x) == 2;
  c.x = read_tensor(x);
  c.w = read_tensor(tensor(names.w));
  c.y = read_tensor(tensor(names.y));
  c.strides = convolution.values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
  c.paddings = convolution.values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
  c.groups = c.x.sizes[1] / c.w.sizes[1];
  c.alpha = operation.value<float>(names.alpha);
  c.beta = operation.value<float>(names.beta);
  if (c.groups == 0) fail("[", kCall, "] the filter has more channels than x: ", c.w.sizes[1], " and ", c.x.sizes[1]);
  check_sizes(c);
  if (c.x.id == c.w.id || c.x.id == c.y.id || c.w.id == c.y.id)
    fail("[", kCall, "] x, w and y must have different ids, got ", c.x.id, ", ", c.w.id, " and ", c.y.id);
  if (c.alpha != 1 || c.beta != 0)
    fail("[", kCall, "] only alpha 1 and beta 0 are simulated, got ", c.alpha, " and ", c.beta);
  return c;
}

std::vector<cudnnBackendNumericalNote_t> notes_of(std::int64_t engine) {
  switch (engine) {
    case engine_without_order: return {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC};
    case engine_of_narrow_inputs: return {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS};
    case engine_of_tensor_cores: return {CUDNN_NUMERICAL_NOTE_TENSOR_CORE};
    default: return {};
  }
}

CudnnObject answer(const CudnnObject& object, std::int64_t i) {
  CudnnObject result;
  result.finalized = true;
  if (object.type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) {
    result.type = CUDNN_BACKEND_ENGINECFG_DESCRIPTOR;
    result.attributes[CUDNN_ATTR_ENGINE_OPERATION_GRAPH] = object.attributes.at(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    result.put<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, {i});
  } else {
    result.type = CUDNN_BACKEND_ENGINE_DESCRIPTOR;
    result.put(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, notes_of(object.value<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX)));
  }
  return result;
}

void finalize_object(CudnnObject& object) {
  switch (object.type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR: return check_tensor(object);
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR: return check_convolution(object);
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
      names_of(cudnn_objects().get(object.value<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATIONGRAPH_OPS), kCall).type);
      return;
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
      part(object, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, kCall);
      return;
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
      part(object, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, kCall);
      return object.put<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, {kCudnnWorkspace});
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR: return check_pack(object);
    default: read_convolution(object);
  }
}

}  // namespace alma::sim
