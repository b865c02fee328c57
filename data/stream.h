#pragma once
#include <cstdint>
#include <vector>

namespace alma {

/// The data that arrives at one step of the stream, as positions in the training set.
struct MegaBatch {
  std::vector<std::int32_t> train;
  std::vector<std::int32_t> validation;  // never trained on; may be empty (int(fraction * size) of a small mega-batch is 0)
  // Of an update's data: how many of `train`, the last ones, are new, the others being replayed. 0: all are new.
  std::int64_t arrived = 0;
};

/// A training set split into B mega-batches (Caccia et al. 2022, section 3): one random permutation of all samples, split
/// into B runs whose sizes differ by at most one (numpy's array_split: the first samples % B get one more). Each mega-batch
/// gives int(fraction * size) of its samples to validation. The partition and every split depend on (samples, B, fraction,
/// seed) alone - not on wait, replay or the learner, so that learners are compared on the same stream.
class MegaBatchStream {
 public:
  /// Throws Error(ErrorKind::usage) naming stream.mega_batches unless 1 <= mega_batches <= samples, or stream.validation
  /// unless 0 <= validation < 1. Every mega-batch keeps at least one training sample. samples < 2^31.
  MegaBatchStream(std::int64_t samples, std::int64_t mega_batches, double validation, std::uint64_t seed);
  /// A training set that is split already, such as by whole documents.
  explicit MegaBatchStream(std::vector<MegaBatch> mega_batches);

  /// B.
  std::int64_t size() const { return static_cast<std::int64_t>(batches_.size()); }
  std::int64_t samples() const { return samples_; }
  /// Mega-batch t, t = 0 .. B-1: what the paper calls D_(t+1).
  const MegaBatch& operator[](std::int64_t t) const { return batches_[static_cast<std::size_t>(t)]; }

 private:
  std::int64_t samples_;
  std::vector<MegaBatch> batches_;
};

/// The mega-batches that are new to an update: first .. last-1, counted from 0.
struct UpdateSpan {
  std::int64_t first = 0, last = 0;
};

/// The schedule of a learner's updates (the paper's Algorithm 1). It waits until w mega-batches have arrived, trains on
/// them together, and waits again: updates happen on the arrival of mega-batch w, 2w, ... (counted from 1) and, if w
/// does not divide B, once more on that of B, with the B mod w that are left. Between updates the model does not change
/// and is tested unchanged.
class Schedule {
 public:
  /// Throws Error(ErrorKind::usage) naming learner.wait unless 1 <= wait <= mega_batches.
  Schedule(std::int64_t mega_batches, std::int64_t wait);

  /// Number of updates, ceil(B / w).
  std::int64_t updates() const { return (mega_batches_ + wait_ - 1) / wait_; }
  /// Update u, u = 0 .. updates()-1.
  UpdateSpan operator[](std::int64_t u) const;
  /// Whether an update happens when mega-batch number `arrived` = 1 .. B has arrived; if so, it is number (arrived -
  /// 1) / wait.
  bool updates_at(std::int64_t arrived) const { return arrived % wait_ == 0 || arrived == mega_batches_; }
  std::int64_t wait() const { return wait_; }

 private:
  std::int64_t mega_batches_, wait_;
};

/// The training and validation samples of an update: those of the mega-batches first .. last-1 (since the last update) or,
/// with replay, of all that have arrived, 0 .. last-1. Training and validation samples are each joined in the order of
/// arrival, so no sample ever moves from one set to the other. Requires 0 <= first <= last <= B.
MegaBatch collect(const MegaBatchStream& stream, std::int64_t first, std::int64_t last, bool replay);

}  // namespace alma
