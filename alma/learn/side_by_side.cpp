#include "alma/learn/side_by_side.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <mutex>

namespace alma {

namespace {

using Clock = std::chrono::steady_clock;
// A thread works on one member for a whole slice, so that the member's working set stays in its caches.
constexpr std::chrono::milliseconds kRound{100}, kSlice{5};

}  // namespace

void train_side_by_side(ThreadPool& pool, const std::vector<Fit*>& fits) {
  std::deque<Fit*> waiting(fits.begin(), fits.end());
  std::mutex mutex;
  const auto next = [&]() -> Fit* {
    const std::lock_guard lock(mutex);
    if (waiting.empty()) return nullptr;
    Fit* fit = waiting.front();
    waiting.pop_front();
    return fit;
  };
  const Clock::time_point end = Clock::now() + kRound;
  pool.run(std::min<std::int64_t>(pool.threads(), static_cast<std::int64_t>(fits.size())), [&](std::int64_t) {
    while (Clock::now() < end) {
      Fit* fit = next();
      if (fit == nullptr) return;
      const Clock::time_point slice_end = std::min(end, Clock::now() + kSlice);
      do fit->step();
      while (!fit->done() && Clock::now() < slice_end);
      if (fit->done()) continue;
      const std::lock_guard lock(mutex);
      waiting.push_back(fit);
    }
  });
}

}  // namespace alma
