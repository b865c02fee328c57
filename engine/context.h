#pragma once
#include <memory>
#include <string>

#include "engine/allocator.h"
#include "engine/cost.h"
#include "kernels/backend.h"
#include "kernels/thread_pool.h"

namespace alma {

/// What one training thread works with: a backend, its memory, its threads and the running cost. Tensors refer to it and
/// must not outlive it.
class Context {
 public:
  /// `device` as for open_backend(); `threads` >= 1 for work inside an op.
  explicit Context(const std::string& device = "cpu", int threads = 1);
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Backend& backend() { return *backend_; }
  Allocator& allocator() { return allocator_; }
  int threads() const { return pool_->threads(); }
  /// Everything that ops have reported since the context was made.
  const Cost& cost() const { return cost_; }
  void add_cost(const Cost& cost) { cost_ += cost; }

 private:
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Backend> backend_;
  Allocator allocator_;
  Cost cost_;
};

/// The cost of what runs while it exists.
///   CostScope scope(context);  model.forward(x);  scope.cost().macs
class CostScope {
 public:
  explicit CostScope(Context& context) : context_(context), start_(context.cost()) {}
  Cost cost() const { return context_.cost() - start_; }

 private:
  Context& context_;
  Cost start_;
};

}  // namespace alma
