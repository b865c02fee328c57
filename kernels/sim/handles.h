#pragma once
#include <map>
#include <memory>
#include <mutex>

#include "base/error.h"

namespace alma::sim {

/// The objects behind one kind of opaque handle; a handle that is not live is refused by name of the call.
template <class Handle, class Object>
class Handles {
 public:
  Handle make(Object value = {}) {
    auto object = std::make_unique<Object>(value);
    const auto handle = reinterpret_cast<Handle>(object.get());
    const std::lock_guard lock(mutex_);
    live_[handle] = std::move(object);
    return handle;
  }
  Object& get(Handle handle, const char* call) {
    const std::lock_guard lock(mutex_);
    const auto found = live_.find(handle);
    if (found == live_.end()) fail("[", call, "] no such handle: ", static_cast<const void*>(handle));
    return *found->second;
  }
  void destroy(Handle handle, const char* call) {
    get(handle, call);
    const std::lock_guard lock(mutex_);
    live_.erase(handle);
  }

 private:
  std::mutex mutex_;
  std::map<Handle, std::unique_ptr<Object>> live_;
};

/// The process's handles of one kind. Never destroyed, because backends may outlive static objects, and made on first use,
/// because nothing of the library may run before factory.cpp has looked at the processor.
template <class Handle, class Object>
Handles<Handle, Object>& all_handles() {
  static auto& instance = *new Handles<Handle, Object>;
  return instance;
}

}  // namespace alma::sim
