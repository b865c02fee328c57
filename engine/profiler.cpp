#include "engine/profiler.h"

#include <algorithm>
#include <new>

namespace alma {

std::int64_t ProfileLane::now() const noexcept { return profiler_.now(); }

void ProfileLane::store(const ProfileEvent& event, std::span<const In> arrays) {
  ProfileEvent stored = event;
  stored.first_size = profile_.sizes.size();
  for (const In& array : arrays) {
    if (!array && array.shape.rank() == 0) continue;  // not given
    profile_.sizes.push_back(array.shape.rank());
    for (int i = 0; i < array.shape.rank(); ++i) profile_.sizes.push_back(array.shape[i]);
  }
  stored.sizes = profile_.sizes.size() - stored.first_size;
  profile_.events.push_back(stored);
}

// Recording must not end a run, nor throw where a backend must not: if memory runs out, calls are left out.
void ProfileLane::primitive(const char* name, const char* detail, std::int64_t start, std::span<const In> arrays,
                            std::uint64_t bytes) noexcept {
  const std::int64_t duration = now() - start;
  const std::lock_guard lock(mutex_);
  last_row_ = nullptr;
  last_is_stored_ = false;
  try {
    ProfileRow& row = profile_.primitives[name];
    ++row.calls;
    row.nanoseconds += duration;
    row.cost.bytes += bytes;
    assumed_bytes_ = bytes;
    last_row_ = &row;
    if (!profiler_.take_event()) return;
    store({name, detail, false, start, duration, 0, bytes}, arrays);
    last_is_stored_ = true;
    last_event_ = profile_.events.size() - 1;
  } catch (const std::bad_alloc&) {
  }
}

void ProfileLane::add_cost(const Cost& cost) noexcept {
  const std::lock_guard lock(mutex_);
  if (last_row_ == nullptr) return;
  last_row_->cost += cost;
  last_row_->cost.bytes -= assumed_bytes_;
  if (last_is_stored_) {
    ProfileEvent& event = profile_.events[last_event_];
    event.flops += static_cast<std::uint64_t>(cost.flops);
    event.bytes += static_cast<std::uint64_t>(cost.bytes - assumed_bytes_);
  }
  assumed_bytes_ = 0;
}

void ProfileLane::phase(const char* name, std::int64_t start, const Cost& cost) noexcept {
  const std::int64_t duration = now() - start;
  const std::lock_guard lock(mutex_);
  try {
    ProfileRow& row = profile_.phases[name];
    ++row.calls;
    row.nanoseconds += duration;
    row.cost += cost;
    if (profiler_.take_event())
      store(
          {name, "", true, start, duration, static_cast<std::uint64_t>(cost.flops), static_cast<std::uint64_t>(cost.bytes)},
          {});
  } catch (const std::bad_alloc&) {
  }
}

LaneProfile ProfileLane::snapshot() const {
  const std::lock_guard lock(mutex_);
  return profile_;
}

Profiler::Profiler(std::int64_t max_events) : max_events_(max_events) {}

ProfileLane& Profiler::add_lane(std::string name) {
  const std::lock_guard lock(mutex_);
  return *lanes_.emplace_back(std::make_unique<ProfileLane>(*this, std::move(name)));
}

std::int64_t Profiler::now() const noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start_).count();
}

bool Profiler::take_event() noexcept { return seen_.fetch_add(1, std::memory_order_relaxed) < max_events_; }

Profile Profiler::snapshot() const {
  const std::lock_guard lock(mutex_);
  Profile profile;
  for (const auto& lane : lanes_) profile.lanes.push_back(lane->snapshot());
  profile.nanoseconds = now();
  profile.dropped = std::max<std::int64_t>(seen_ - max_events_, 0);
  return profile;
}

}  // namespace alma
