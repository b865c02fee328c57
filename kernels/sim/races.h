#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace alma::sim {

/// An access as the race check remembers it. `run` counts the executions of a block, over all launches; 0: no access.
struct RaceAccess {
  std::uint32_t run = 0;
  std::uint32_t barriers = 0;  // that the block had passed
  std::uint32_t clock = 0;     // of the lane
  std::uint16_t thread = 0;    // linear index in the block
  std::uint16_t site = 0;
};

/// The last write, and two reads that are not ordered before each other: where several are, those of other blocks and other
/// warps say the most.
struct RaceCell {
  RaceAccess write, reads[2];
};

/// Cells of a stretch of memory: one for four bytes, until an access is smaller or not aligned and each byte needs its own.
class RaceCells {
 public:
  void reset(std::size_t bytes) {
    shift_ = 2;
    bytes_ = bytes;
    cells_.assign((bytes + 3) / 4, {});
  }
  bool empty() const { return cells_.empty(); }
  void clear() { cells_ = {}; }

  /// f(cell, offset of its first byte) for every cell that the bytes touch.
  template <class F>
  void each(std::size_t offset, std::size_t count, F f) {
    if (shift_ != 0 && (offset | count) % 4 != 0) split();
    for (std::size_t i = offset >> shift_; i << shift_ < offset + count; ++i) f(cells_[i], i << shift_);
  }

 private:
  void split() {
    std::vector<RaceCell> bytes(bytes_);
    for (std::size_t i = 0; i < bytes_; ++i) bytes[i] = cells_[i / 4];
    cells_ = std::move(bytes);
    shift_ = 0;
  }

  unsigned shift_ = 2;
  std::size_t bytes_ = 0;
  std::vector<RaceCell> cells_;
};

/// What orders the accesses of one block: barriers, and __syncwarp among the lanes of a warp (Lamport's happens-before, by
/// vector clocks).
class BlockOrdering {
 public:
  void begin(std::uint32_t run, std::size_t threads);
  void barrier() { ++barriers_; }
  void sync_lanes(std::size_t warp, std::uint32_t lanes);

  std::uint32_t run() const { return run_; }
  RaceAccess now(std::size_t thread, std::uint16_t site) const {
    return {run_, barriers_, warps_[thread / 32].clock[thread % 32][thread % 32], static_cast<std::uint16_t>(thread), site};
  }
  /// Does `earlier` come before everything that `thread` does from now on? Runs before `first_run` are over.
  bool ordered(const RaceAccess& earlier, std::size_t thread, std::uint32_t first_run) const;

 private:
  struct Warp {
    std::uint32_t clock[32][32];  // [lane][other lane]: what lane knows of the other
  };
  std::uint32_t run_ = 0, barriers_ = 0;
  std::vector<Warp> warps_;
};

/// Records an access in a cell. Returns the earlier access that it conflicts with, or null.
const RaceAccess* record(RaceCell& cell, const RaceAccess& now, bool write, const BlockOrdering& order,
                         std::uint32_t first_run);

}  // namespace alma::sim
