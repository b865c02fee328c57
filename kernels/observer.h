#pragma once
#include <cstdint>
#include <span>

#include "kernels/views.h"

namespace alma {

/// Is told of every primitive of a backend: see Backend::observe().
class Observer {
 public:
  virtual ~Observer() = default;
  /// Nanoseconds on the observer's clock.
  virtual std::int64_t now() const noexcept = 0;
  /// A primitive on these arrays (inputs, then outputs; those that were not given have no memory) that began at `start` and
  /// has ended. `detail`: which one of its kind, "a^T b", or "". `bytes`: what it moved, where no op reports that; else 0.
  /// name and detail are string literals.
  virtual void primitive(const char* name, const char* detail, std::int64_t start, std::span<const In> arrays,
                         std::uint64_t bytes) noexcept = 0;
};

}  // namespace alma
