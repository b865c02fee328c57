#include "engine/context.h"

#include "kernels/open_backend.h"

namespace alma {

Context::Context(const std::string& device, int threads, const ProfileTarget& profile)
    : Context(make_thread_pool(threads), device, profile) {}

Context::Context(std::shared_ptr<ThreadPool> pool, const std::string& device, const ProfileTarget& profile)
    : pool_(std::move(pool)),
      profiler_(profile.profiler),
      lane_(profiler_ == nullptr ? nullptr : &profiler_->add_lane(profile.lane)),
      backend_(open_backend(device, {pool_.get()})),
      allocator_(*backend_) {
  backend_->observe(lane_);
}

std::unique_ptr<Context> Context::beside(const std::string& lane) const {
  const BackendInfo info = backend_->info();
  if (!info.shareable || threads() == 1) return nullptr;
  return std::unique_ptr<Context>(new Context(pool_, info.device + ":" + info.level, {profiler_, lane}));
}

}  // namespace alma
