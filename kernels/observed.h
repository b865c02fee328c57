#pragma once
#include <exception>
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
  Observed(Backend& backend, const Call& call, const Arrays&... arrays) : backend_(backend), call_(call) {
    if (backend.observer_ == nullptr) [[likely]]
      return;
    begin();
    try {
      (add(arrays), ...);
    } catch (const std::bad_alloc&) {  // observing must not end a run: the observer is told of the arrays so far
    }
  }
  Observed(const Observed&) = delete;
  Observed& operator=(const Observed&) = delete;
  /// Throws what the device reports while it is waited for.
  ~Observed() noexcept(false) {
    if (observer_ != nullptr) end();
  }

 private:
  void begin() {
    observer_ = backend_.observer_;
    backend_.observer_ = nullptr;
    exceptions_ = std::uncaught_exceptions();
    start_ = observer_->now();
  }
  void end() {
    const bool threw = std::uncaught_exceptions() > exceptions_;
    try {
      if (call_.waits && !threw) backend_.synchronize();
    } catch (...) {
      backend_.observer_ = observer_;
      throw;
    }
    backend_.observer_ = observer_;
    if (!threw) observer_->primitive(call_.name, call_.detail, start_, arrays_, call_.bytes);
  }

  void add(const In& array) { arrays_.push_back(array); }
  void add(std::span<const In> arrays) { arrays_.insert(arrays_.end(), arrays.begin(), arrays.end()); }
  void add(std::span<const Out> arrays) { arrays_.insert(arrays_.end(), arrays.begin(), arrays.end()); }
  void add(Bytes bytes) { add_elements(DType::u8, static_cast<std::int64_t>(bytes.count)); }
  // A model has many tensors; their one array is all their elements.
  void add(std::span<const OptimizerSlot> slots) {
    std::int64_t elements = 0;
    for (const OptimizerSlot& slot : slots) elements += slot.weight.shape.count();
    add_elements(DType::f32, elements);
  }
  void add_elements(DType dtype, std::int64_t count) { arrays_.push_back({nullptr, dtype, {count}}); }

  Backend& backend_;
  Call call_;
  Observer* observer_ = nullptr;  // null: nobody looks
  int exceptions_ = 0;            // in flight at the start
  std::int64_t start_ = 0;
  std::vector<In> arrays_;
};

/// A primitive at work, and the sizes that its check has found.
template <class Sizes>
struct [[nodiscard]] Checked {
  Sizes sizes;
  Observed observed;
};

}  // namespace alma
