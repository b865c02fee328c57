#include "kernels/sim/races.h"

#include <algorithm>

namespace alma::sim {

void BlockOrdering::begin(std::uint32_t run, std::size_t threads) {
  run_ = run;
  barriers_ = 0;
  warps_.assign((threads + 31) / 32, Warp{});
  for (Warp& warp : warps_)
    for (int lane = 0; lane < 32; ++lane) warp.clock[lane][lane] = 1;
}

void BlockOrdering::sync_lanes(std::size_t warp, std::uint32_t lanes) {
  auto& clock = warps_[warp].clock;
  std::uint32_t latest[32] = {};
  for (int lane = 0; lane < 32; ++lane) {
    if ((lanes >> lane & 1) == 0) continue;
    for (int other = 0; other < 32; ++other) latest[other] = std::max(latest[other], clock[lane][other]);
  }
  for (int lane = 0; lane < 32; ++lane) {
    if ((lanes >> lane & 1) == 0) continue;
    std::copy(std::begin(latest), std::end(latest), clock[lane]);
    ++clock[lane][lane];
  }
}

bool BlockOrdering::ordered(const RaceAccess& earlier, std::size_t thread, std::uint32_t first_run) const {
  if (earlier.run < first_run) return true;  // an earlier launch, or no access
  if (earlier.run != run_) return false;     // another block
  if (earlier.barriers != barriers_ || earlier.thread == thread) return true;
  if (earlier.thread / 32u != thread / 32) return false;
  return warps_[thread / 32].clock[thread % 32][earlier.thread % 32] >= earlier.clock;
}

namespace {

int distance(const RaceAccess& a, const RaceAccess& b) {
  if (a.run != b.run) return 3;
  return a.thread / 32 != b.thread / 32 ? 2 : 1;
}

}  // namespace

const RaceAccess* record(RaceCell& cell, const RaceAccess& now, bool write, const BlockOrdering& order,
                         std::uint32_t first_run) {
  const auto before = [&](const RaceAccess& earlier) { return order.ordered(earlier, now.thread, first_run); };
  if (!before(cell.write)) return &cell.write;
  if (write) {
    for (const RaceAccess& read : cell.reads)
      if (!before(read)) return &read;
    cell.write = now;
    return nullptr;
  }
  // Reads that come before this one say nothing that it does not say.
  auto& [newest, other] = cell.reads;
  const bool keep_newest = !before(newest), keep_other = !before(other);
  if (keep_newest && (!keep_other || distance(newest, now) > distance(other, now))) {
    other = newest;
  } else if (!keep_other) {
    other = {};
  }
  newest = now;
  return nullptr;
}

}  // namespace alma::sim
