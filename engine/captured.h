#pragma once
#include <functional>
#include <memory>

#include "engine/context.h"

namespace alma {

/// Work that is the same in every step, such as a training step of one model on one batch size: done as usual the first time
/// (which makes the plans and the memory that it needs), captured the second time, and from then on replayed. It may not
/// upload, download or wait, and what changes from step to step must reach it through tensors that stay where they are.
/// Results and costs are those of doing it every time.
class Captured {
 public:
  /// The backend has graphs. The context, and every tensor from elsewhere that the work touches, outlives this.
  explicit Captured(Context& context) : context_(context) {}
  ~Captured();
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  /// Always with the same `work`. Throws Error if tensors that the work has made outlive it: a replay would overwrite them.
  void run(const std::function<void()>& work);

 private:
  void do_in_pool(const std::function<void()>& work);

  Context& context_;
  MemoryPool pool_;  // of the tensors that live within the work
  bool warm_ = false;
  std::unique_ptr<Graph> graph_;
  Cost cost_;
};

}  // namespace alma
