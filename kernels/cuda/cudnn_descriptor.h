#pragma once
#include <cudnn.h>

#include <source_location>
#include <utility>
#include <vector>

#include "base/error.h"

namespace alma {

/// Throws Error "[cudnn] cudnnCreate(...) at conv.cpp:12: ..." unless the status is success.
inline void check_status(cudnnStatus_t status, const char* call,
                         const std::source_location& site = std::source_location::current()) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  fail("[cudnn] ", call, " at ", site.file_name(), ":", site.line(), ": ", cudnnGetErrorString(status));
}

/// A descriptor of cuDNN's graph API.
class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type) {
    check_status(cudnnBackendCreateDescriptor(type, &descriptor_), "cudnnBackendCreateDescriptor");
  }
  ~CudnnDescriptor() {
    if (descriptor_ != nullptr) cudnnBackendDestroyDescriptor(descriptor_);
  }
  CudnnDescriptor(CudnnDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  CudnnDescriptor& operator=(CudnnDescriptor&&) = delete;

  cudnnBackendDescriptor_t get() const { return descriptor_; }

  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T* values, std::size_t count) {
    check_status(cudnnBackendSetAttribute(descriptor_, name, type, static_cast<std::int64_t>(count), values),
                 "cudnnBackendSetAttribute");
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T& value) {
    set(name, type, &value, 1);
  }
  void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& other) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.descriptor_);
  }
  void finalize() { check_status(cudnnBackendFinalize(descriptor_), "cudnnBackendFinalize"); }

  /// All values of an attribute.
  template <class T>
  std::vector<T> values(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const {
    std::int64_t count = 0;
    check_status(cudnnBackendGetAttribute(descriptor_, name, type, 0, &count, nullptr), "cudnnBackendGetAttribute");
    std::vector<T> values(static_cast<std::size_t>(count));
    if (count > 0)
      check_status(cudnnBackendGetAttribute(descriptor_, name, type, count, &count, values.data()),
                   "cudnnBackendGetAttribute");
    values.resize(static_cast<std::size_t>(count));
    return values;
  }
  /// Descriptors that an attribute holds: the library fills in ones that the caller makes.
  std::vector<CudnnDescriptor> descriptors(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type) const {
    std::int64_t count = 0;
    check_status(cudnnBackendGetAttribute(descriptor_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr),
                 "cudnnBackendGetAttribute");
    std::vector<CudnnDescriptor> result;
    std::vector<cudnnBackendDescriptor_t> raw;
    for (std::int64_t i = 0; i < count; ++i) raw.push_back(result.emplace_back(type).get());
    if (count > 0)
      check_status(cudnnBackendGetAttribute(descriptor_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &count, raw.data()),
                   "cudnnBackendGetAttribute");
    while (static_cast<std::int64_t>(result.size()) > count) result.pop_back();
    return result;
  }

 private:
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

}  // namespace alma
