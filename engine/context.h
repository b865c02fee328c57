#pragma once
#include <memory>
#include <string>

#include "base/thread_pool.h"
#include "engine/allocator.h"
#include "engine/cost.h"
#include "engine/profiler.h"
#include "kernels/backend.h"

namespace alma {

/// The row of a profiler's trace in which a context records its work. By default there is none, at no cost.
struct ProfileTarget {
  Profiler* profiler = nullptr;  // outlives the context
  std::string lane = "training";
};

/// The resources of one training thread: a backend, its memory, its threads and the accumulated cost. Tensors refer to it
/// and must not outlive it.
class Context {
 public:
  /// `device` as for open_backend(); `threads` >= 1 for work within an op.
  explicit Context(const std::string& device = "cpu", int threads = 1, const ProfileTarget& profile = {});
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Makes a context for a second thread of the same run, on the same thread pool; null if the device or `threads` does not
  /// allow one. `lane` is its name in a profile.
  std::unique_ptr<Context> beside(const std::string& lane) const;

  Backend& backend() { return *backend_; }
  Allocator& allocator() { return allocator_; }
  int threads() const { return pool_->threads(); }
  /// The thread pool, shared with the other contexts of the run. Ops inside its pieces run inline.
  ThreadPool& pool() { return *pool_; }
  /// Calls ThreadPool::lend(), for the time in which another context of the run works.
  void lend_threads(int threads) { pool_->lend(threads); }
  /// The sum of the costs that ops have reported since the context was made.
  const Cost& cost() const { return cost_; }
  /// Adds a cost. To be called right after its primitive, since a profile assigns it to the last primitive.
  void add_cost(const Cost& cost) {
    cost_ += cost;
    if (lane_ != nullptr) lane_->add_cost(cost);
  }
  /// The profiler, for further contexts of the same run; null if nothing is recorded.
  Profiler* profiler() const { return profiler_; }
  ProfileLane* profile_lane() const { return lane_; }

 private:
  Context(std::shared_ptr<ThreadPool> pool, const std::string& device, const ProfileTarget& profile);

  std::shared_ptr<ThreadPool> pool_;
  Profiler* profiler_;
  ProfileLane* lane_;
  std::unique_ptr<Backend> backend_;
  Allocator allocator_;
  Cost cost_;
};

/// Measures the cost of the ops that run during its lifetime.
///   CostScope scope(context);  model.forward(x, pass);  scope.cost().macs
class CostScope {
 public:
  explicit CostScope(Context& context) : context_(context), start_(context.cost()) {}
  Cost cost() const { return context_.cost() - start_; }

 private:
  Context& context_;
  Cost start_;
};

/// A phase of the run, such as "training step", which lasts for the object's lifetime. It appears in the profile, if the
/// context records one, and in the timeline of the device's own tools.
class ProfileSpan {
 public:
  /// `name` is a string literal.
  ProfileSpan(Context& context, const char* name)
      : context_(context),
        name_(name),
        start_(context.profile_lane() == nullptr ? 0 : context.profile_lane()->now()),
        cost_(context) {
    context_.backend().begin_range(name);
  }
  ~ProfileSpan() {
    context_.backend().end_range();
    if (context_.profile_lane() != nullptr) context_.profile_lane()->phase(name_, start_, cost_.cost());
  }
  ProfileSpan(const ProfileSpan&) = delete;
  ProfileSpan& operator=(const ProfileSpan&) = delete;

 private:
  Context& context_;
  const char* name_;
  std::int64_t start_;
  CostScope cost_;
};

}  // namespace alma
