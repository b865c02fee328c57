#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/cost.h"
#include "kernels/observer.h"

namespace alma {

class Profiler;

/// The sums over all calls of one primitive or one phase.
struct ProfileRow {
  std::int64_t calls = 0;
  std::int64_t nanoseconds = 0;
  Cost cost;
};

/// One call in the trace.
struct ProfileEvent {
  const char* name = "";
  const char* detail = "";    // "a^T b", or ""
  bool phase = false;         // whether it is a ProfileSpan; else a primitive
  std::int64_t start = 0;     // nanoseconds since the profiler was made
  std::int64_t duration = 0;  // nanoseconds
  std::uint64_t flops = 0, bytes = 0;
  std::size_t first_size = 0;  // of its arrays in LaneProfile::sizes
  std::size_t sizes = 0;
};

/// The record of one lane.
struct LaneProfile {
  std::string name;
  std::map<std::string_view, ProfileRow> primitives, phases;
  std::vector<ProfileEvent> events;
  std::vector<std::int64_t> sizes;  // per array of an event: its rank, then its sizes
};

/// The record of a Profiler.
struct Profile {
  std::int64_t nanoseconds = 0;  // since the profiler was made
  std::int64_t dropped = 0;      // calls that are counted in the rows, but are not among the events
  std::vector<LaneProfile> lanes;
};

/// The row of the trace that belongs to one context: its primitives and the phases around them. Used by one thread at a
/// time, as the context is, while others may take a snapshot. Names must be string literals: they are kept by address.
class ProfileLane final : public Observer {
 public:
  ProfileLane(Profiler& profiler, std::string name) : profiler_(profiler) { profile_.name = std::move(name); }

  /// Nanoseconds since the profiler was made.
  std::int64_t now() const noexcept override;
  /// `bytes`: what it moved, unless add_cost() says otherwise.
  void primitive(const char* name, const char* detail, std::int64_t start, std::span<const In> arrays,
                 std::uint64_t bytes) noexcept override;
  /// Adds the cost of the last primitive, as its op reports it.
  void add_cost(const Cost& cost) noexcept;
  void phase(const char* name, std::int64_t start, const Cost& cost) noexcept;

  LaneProfile snapshot() const;

 private:
  void store(const ProfileEvent& event, std::span<const In> arrays);

  Profiler& profiler_;
  mutable std::mutex mutex_;
  LaneProfile profile_;
  // The last primitive, for add_cost().
  ProfileRow* last_row_ = nullptr;
  bool last_is_stored_ = false;
  std::size_t last_event_ = 0;
  Count assumed_bytes_ = 0;
};

/// Records every primitive that contexts run: calls, time, bytes and FLOPs of all of them, and a trace of the first
/// `max_events`, so that a long run does not fill the memory. Contexts on several threads may share one; it outlives them.
class Profiler {
 public:
  static constexpr std::int64_t kMaxEvents = 200000;  // about 35 MB as JSON
  explicit Profiler(std::int64_t max_events = kMaxEvents);

  /// Adds a row to the trace.
  ProfileLane& add_lane(std::string name);
  std::int64_t now() const noexcept;
  /// A copy of the record so far.
  Profile snapshot() const;

 private:
  friend class ProfileLane;
  bool take_event() noexcept;

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::int64_t max_events_;
  std::atomic<std::int64_t> seen_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<ProfileLane>> lanes_;
};

}  // namespace alma
