#pragma once
#include <exception>
#include <memory>
#include <new>
#include <vector>

#include "kernels/backend.h"

namespace alma {

/// A primitive at work: its check makes one at the head of the primitive. When that ends, the backend's observer is told
/// name, arrays and start, after the device has finished; without an observer all of this is one test of a pointer. What a
/// primitive calls of its own backend is part of it, and a primitive that throws is not told of.
class [[nodiscard]] Observed {
 public:
  struct Call {
    Call(const char* what, const char* which = "", std::uint64_t moved = 0, bool wait = true)
        : name(what), detail(which), bytes(moved), waits(wait) {}
    const char* name;
    const char* detail;
    std::uint64_t bytes;  // moved, where no op reports that
    bool waits;           // for the device, before the observer is told
  };
  /// Raw memory as an array.
  struct Bytes {
    std::size_t count;
  };

  /// `arrays`: In, Out, spans of them, Bytes or the slots of an optimizer.
  template <class... Arrays>
  Observed(Backend& backend, const Call& call, const Arrays&... arrays) {
    if (backend.observer_ == nullptr) [[likely]]
      return;
    try {  // observing must not end a run: without memory the observer is told of the arrays so far, or of nothing
      begin(backend, call);
      (add(arrays), ...);
    } catch (const std::bad_alloc&) {
    }
  }
  Observed(const Observed&) = delete;
  Observed& operator=(const Observed&) = delete;
  /// Throws what the device reports while it is waited for.
  ~Observed() noexcept(false) {
    if (seen_ != nullptr) end();
  }

 private:
  // What the observer will be told. Apart, so that a primitive that nobody observes carries one null pointer.
  struct Seen {
    Backend& backend;
    Call call;
    Observer* observer;
    int exceptions;  // in flight at the start
    std::int64_t start;
    std::vector<In> arrays;
  };

  void begin(Backend& backend, const Call& call) {
    seen_ = new Seen{backend, call, backend.observer_, std::uncaught_exceptions(), backend.observer_->now(), {}};
    backend.observer_ = nullptr;
  }
  void end() {
    const std::unique_ptr<Seen> seen(seen_);
    Backend& backend = seen->backend;
    const bool threw = std::uncaught_exceptions() > seen->exceptions;
    try {
      if (seen->call.waits && !threw) backend.synchronize();
    } catch (...) {
      backend.observer_ = seen->observer;
      throw;
    }
    backend.observer_ = seen->observer;
    const Call& call = seen->call;
    if (!threw) seen->observer->primitive(call.name, call.detail, seen->start, seen->arrays, call.bytes);
  }

  void add(const In& array) { seen_->arrays.push_back(array); }
  void add(std::span<const In> arrays) { seen_->arrays.insert(seen_->arrays.end(), arrays.begin(), arrays.end()); }
  void add(std::span<const Out> arrays) { seen_->arrays.insert(seen_->arrays.end(), arrays.begin(), arrays.end()); }
  void add(Bytes bytes) { add_elements(DType::u8, static_cast<std::int64_t>(bytes.count)); }
  // A model has many tensors; their one array is all their elements.
  void add(std::span<const OptimizerSlot> slots) {
    std::int64_t elements = 0;
    for (const OptimizerSlot& slot : slots) elements += slot.weight.shape.count();
    add_elements(DType::f32, elements);
  }
  void add_elements(DType dtype, std::int64_t count) { seen_->arrays.push_back({nullptr, dtype, {count}}); }

  Seen* seen_ = nullptr;  // owned; null: nobody looks
};

/// A primitive at work, and the sizes that its check has found.
template <class Sizes>
struct [[nodiscard]] Checked {
  Sizes sizes;
  Observed observed;
};

}  // namespace alma
