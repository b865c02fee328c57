// The functions of cuDNN's graph API that kernels/cuda/conv.cpp calls. Each descriptor knows its attributes with their types
// and counts; anything else is refused with an Error that names it.
#include "kernels/sim/cudnn.h"

#include <string>

namespace alma::sim {
namespace {

constexpr std::int64_t kAnyCount = -1;

/// An attribute that may be set, or (given = false) asked for.
struct Rule {
  cudnnBackendDescriptorType_t descriptor;
  cudnnBackendAttributeName_t name;
  cudnnBackendAttributeType_t type;
  std::int64_t count;
  bool given = true;
};

#define OPERATION(kind, op, x, w, y)                                                                           \
  {CUDNN_BACKEND_OPERATION_CONVOLUTION_##kind##_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_##op##_CONV_DESC, \
   CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},                                                                          \
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_##kind##_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_##op##_##x,   \
       CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},                                                                      \
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_##kind##_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_##op##_##w,   \
       CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},                                                                      \
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_##kind##_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_##op##_##y,   \
       CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},                                                                      \
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_##kind##_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_##op##_ALPHA, \
       CUDNN_TYPE_FLOAT, 1},                                                                                   \
  {                                                                                                            \
    CUDNN_BACKEND_OPERATION_CONVOLUTION_##kind##_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_##op##_BETA,     \
        CUDNN_TYPE_FLOAT, 1                                                                                    \
  }

constexpr Rule kRules[] = {
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2},
    OPERATION(FORWARD, FORWARD, X, W, Y),
    OPERATION(BACKWARD_DATA, BWD_DATA, DX, W, DY),
    OPERATION(BACKWARD_FILTER, BWD_FILTER, X, DW, DY),
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, kAnyCount, false},
    {CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, false},
    {CUDNN_BACKEND_ENGINE_DESCRIPTOR, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, kAnyCount, false},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, false},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, kAnyCount},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, kAnyCount},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1},
};
#undef OPERATION

std::size_t size_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_INT64: return sizeof(std::int64_t);
    case CUDNN_TYPE_FLOAT: return sizeof(float);
    case CUDNN_TYPE_HANDLE: return sizeof(cudnnHandle_t);
    case CUDNN_TYPE_VOID_PTR: return sizeof(void*);
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return sizeof(cudnnBackendDescriptor_t);
    default: return sizeof(int);  // enumerations
  }
}

bool is_simulated(cudnnBackendDescriptorType_t type) {
  for (const Rule& rule : kRules)
    if (rule.descriptor == type) return true;
  return false;
}

const Rule& rule_for(const CudnnObject& object, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                     bool given, const char* call) {
  for (const Rule& rule : kRules) {
    if (rule.descriptor != object.type || rule.name != name || rule.given != given) continue;
    if (rule.type != type)
      fail("[", call, "] attribute ", static_cast<int>(name), " has type ", static_cast<int>(rule.type), ", got type ",
           static_cast<int>(type));
    return rule;
  }
  fail("[", call, "] attribute ", static_cast<int>(name), " of a descriptor of type ", static_cast<int>(object.type),
       " is not simulated");
}

void require_all_given(const CudnnObject& object) {
  for (const Rule& rule : kRules)
    if (rule.descriptor == object.type && rule.given && !object.has(rule.name))
      fail("[cudnnBackendFinalize] attribute ", static_cast<int>(rule.name), " of a descriptor of type ",
           static_cast<int>(object.type), " was not set");
}

// The handles among the values must be live, and descriptors finalised.
void require_usable(const Rule& rule, const void* values, std::int64_t count, const char* call) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (rule.type == CUDNN_TYPE_HANDLE) cudnn_libraries().get(static_cast<const cudnnHandle_t*>(values)[i], call);
    if (rule.type != CUDNN_TYPE_BACKEND_DESCRIPTOR) continue;
    if (!cudnn_objects().get(static_cast<const cudnnBackendDescriptor_t*>(values)[i], call).finalized)
      fail("[", call, "] the descriptor given for attribute ", static_cast<int>(rule.name), " is not finalised");
  }
}

}  // namespace
}  // namespace alma::sim

using namespace alma::sim;

extern "C" {

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  *handle = cudnn_libraries().make();
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  cudnn_libraries().destroy(handle, "cudnnDestroy");
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  cudnn_libraries().get(handle, "cudnnSetStream").stream = stream;
  return CUDNN_STATUS_SUCCESS;
}
std::size_t cudnnGetVersion() { return CUDNN_VERSION; }
const char* cudnnGetErrorString(cudnnStatus_t status) {
  return status == CUDNN_STATUS_SUCCESS ? "success" : "a status that the simulator does not return";
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* descriptor) {
  if (!is_simulated(type))
    alma::fail("[cudnnBackendCreateDescriptor] descriptors of type ", static_cast<int>(type), " are not simulated");
  CudnnObject object;
  object.type = type;
  *descriptor = cudnn_objects().make(object);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  cudnn_objects().destroy(descriptor, "cudnnBackendDestroyDescriptor");
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, std::int64_t count, const void* values) {
  const char* call = "cudnnBackendSetAttribute";
  CudnnObject& object = cudnn_objects().get(descriptor, call);
  if (object.finalized) alma::fail("[", call, "] the descriptor has been finalised");
  const Rule& rule = rule_for(object, name, type, true, call);
  if (count < 1 || values == nullptr || (rule.count != kAnyCount && rule.count != count))
    alma::fail("[", call, "] attribute ", static_cast<int>(name), " has ",
               rule.count == kAnyCount ? "at least 1" : std::to_string(rule.count), " elements, got ", count);
  require_usable(rule, values, count, call);
  const auto* bytes = static_cast<const unsigned char*>(values);
  object.attributes[name].assign(bytes, bytes + static_cast<std::size_t>(count) * size_of(type));
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  CudnnObject& object = cudnn_objects().get(descriptor, "cudnnBackendFinalize");
  if (object.finalized) alma::fail("[cudnnBackendFinalize] the descriptor has been finalised before");
  require_all_given(object);
  finalize_object(object);
  object.finalized = true;
  return CUDNN_STATUS_SUCCESS;
}

// Of descriptors the caller brings ones that are empty, and they are filled.
cudnnStatus_t cudnnBackendGetAttribute(const cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, std::int64_t requested, std::int64_t* count,
                                       void* values) {
  const char* call = "cudnnBackendGetAttribute";
  CudnnObject& object = cudnn_objects().get(descriptor, call);
  if (!object.finalized) alma::fail("[", call, "] the descriptor is not finalised");
  rule_for(object, name, type, false, call);
  const bool descriptors = type == CUDNN_TYPE_BACKEND_DESCRIPTOR;
  const std::size_t size = size_of(type);
  std::int64_t available = 1;
  if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS) available = engine_count;
  if (!descriptors) available = static_cast<std::int64_t>(object.attributes.at(name).size() / size);
  const std::int64_t given = std::min(requested, available);
  if (count != nullptr) *count = requested == 0 ? available : given;
  if (requested > 0 && values == nullptr) alma::fail("[", call, "] no memory for ", requested, " elements");
  if (!descriptors) {
    if (given > 0) std::memcpy(values, object.attributes.at(name).data(), static_cast<std::size_t>(given) * size);
    return CUDNN_STATUS_SUCCESS;
  }
  for (std::int64_t i = 0; i < given; ++i) {
    const CudnnObject source = answer(object, i);
    CudnnObject& target = cudnn_objects().get(static_cast<cudnnBackendDescriptor_t*>(values)[i], call);
    if (target.type != source.type || target.finalized)
      alma::fail("[", call, "] element ", i, " must be a descriptor of type ", static_cast<int>(source.type),
                 " that is not finalised, got one of type ", static_cast<int>(target.type));
    target = source;
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  const char* call = "cudnnBackendExecute";
  cudnn_libraries().get(handle, call);
  const CudnnObject &p = cudnn_objects().get(plan, call), &v = cudnn_objects().get(pack, call);
  if (p.type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || v.type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
    alma::fail("[", call, "] needs an execution plan and a variant pack");
  if (!p.finalized || !v.finalized)
    alma::fail("[", call, "] the ", p.finalized ? "variant pack" : "plan", " is not finalised");
  if (p.value<cudnnHandle_t>(CUDNN_ATTR_EXECUTION_PLAN_HANDLE) != handle)
    alma::fail("[", call, "] the plan was made with another handle");
  execute_plan(p, v, cudnn_libraries().get(handle, call).stream);
  return CUDNN_STATUS_SUCCESS;
}
}
