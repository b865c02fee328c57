#pragma once
#include <functional>
#include <memory>

#include "engine/context.h"

namespace alma {

/// Work that is the same in every step, such as a training step of one model on one batch size. The first time it is done as
/// usual (which makes the plans and the memory that it needs), the second time it is captured, and from then on it is
/// replayed. It may not upload, download or wait, and data that changes from step to step must reach it through tensors at
/// fixed addresses. Results and costs are the same as without capture.
class Captured {
 public:
  /// Requires a backend with graphs. The context, and every tensor from outside that the work uses, outlives this object.
  explicit Captured(Context& context) : context_(context) {}
  ~Captured();
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  /// Does the work, which must be the same in every call. Throws Error if tensors that the work has made outlive it: a
  /// replay would overwrite them.
  void run(const std::function<void()>& work);

 private:
  void do_in_pool(const std::function<void()>& work);

  Context& context_;
  MemoryPool pool_;  // memory of the tensors that live within the work
  bool warm_ = false;
  std::unique_ptr<Graph> graph_;
  Cost cost_;
};

}  // namespace alma
