#pragma once
// What stands behind the descriptors of the simulated cuDNN graph API: attributes as they were set, checked one by one.
#include <cudnn.h>

#include <cstring>
#include <map>
#include <vector>

#include "base/error.h"
#include "kernels/sim/handles.h"

namespace alma::sim {

struct CudnnLibrary {
  cudaStream_t stream = nullptr;
};

struct CudnnObject {
  cudnnBackendDescriptorType_t type{};
  bool finalized = false;
  std::map<cudnnBackendAttributeName_t, std::vector<unsigned char>> attributes;

  bool has(cudnnBackendAttributeName_t name) const { return attributes.contains(name); }
  template <class T>
  std::vector<T> values(cudnnBackendAttributeName_t name) const {
    const std::vector<unsigned char>& bytes = attributes.at(name);
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  template <class T>
  T value(cudnnBackendAttributeName_t name) const {
    return values<T>(name).at(0);
  }
  template <class T>
  void put(cudnnBackendAttributeName_t name, const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
    attributes[name].assign(bytes, bytes + values.size() * sizeof(T));
  }
};

inline auto& cudnn_libraries() { return all_handles<cudnnHandle_t, CudnnLibrary>(); }
inline auto& cudnn_objects() { return all_handles<cudnnBackendDescriptor_t, CudnnObject>(); }

/// The descriptor that an attribute holds, which must be of this type.
inline const CudnnObject& part(const CudnnObject& object, cudnnBackendAttributeName_t name,
                               cudnnBackendDescriptorType_t type, const char* call) {
  const CudnnObject& found = cudnn_objects().get(object.value<cudnnBackendDescriptor_t>(name), call);
  if (found.type != type)
    fail("[", call, "] attribute ", static_cast<int>(name), " must be a descriptor of type ", static_cast<int>(type),
         ", got one of type ", static_cast<int>(found.type));
  return found;
}

/// The engines of the simulated library, in the order in which its heuristic names them: what a caller must look at is
/// whether an engine's notes suit it, and each of the first three shows in the result.
enum CudnnEngine : std::int64_t {
  engine_without_order,     // NONDETERMINISTIC: other bits on every call
  engine_of_narrow_inputs,  // DOWN_CONVERT_INPUTS, TENSOR_CORE: operands rounded to bf16
  engine_of_tensor_cores,   // TENSOR_CORE: f32 operands rounded to tf32
  engine_of_f32,            // none
  engine_count
};
std::vector<cudnnBackendNumericalNote_t> notes_of(std::int64_t engine);

/// Workspace of a plan; the simulated engines need none, but say so: memory that is too small is then noticed.
inline constexpr std::int64_t kCudnnWorkspace = 80 * 1024;

/// One convolution as its descriptors tell it.
struct CudnnConvolution {
  struct Tensor {
    std::int64_t id = 0;
    std::vector<std::int64_t> sizes;
    std::int64_t alignment = 0;
    std::size_t bytes = 0;
  };
  Tensor x, w, y;
  bool narrow = false;  // bf16
  cudnnBackendDescriptorType_t kind{};
  std::vector<std::int64_t> strides, paddings;
  std::int64_t groups = 1;
  float alpha = 1, beta = 0;
};
/// Reads and checks an operation. Throws Error if sizes or types do not fit, or if it is no convolution.
CudnnConvolution read_convolution(const CudnnObject& operation);

/// What a heuristic (its i-th engine configuration) or a configuration (its engine) answers.
CudnnObject answer(const CudnnObject& object, std::int64_t i);

/// Checks what a descriptor says as a whole, and fills in what the library answers. Throws Error.
void finalize_object(CudnnObject& object);

/// Runs a plan; everything that was set is checked here once more against memory. Throws Error.
void execute_plan(const CudnnObject& plan, const CudnnObject& pack, cudaStream_t stream);

}  // namespace alma::sim
