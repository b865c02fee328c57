#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "alma/learn/auto_wait.h"
#include "data/stream.h"

namespace alma {

/// The updates of a run, decided as mega-batches arrive: of a fixed waiting time w as Schedule says, or by AutoWait.
class Updates {
 public:
  /// `wait`: w, or 0 for "auto".
  Updates(const MegaBatchStream& stream, std::int64_t wait, bool replay);
  /// Whether an update happens when mega-batch number t = 1 .. B has arrived.
  bool happens_at(std::int64_t t) const;
  /// What is new to an update on the arrival of mega-batch t.
  UpdateSpan span(std::int64_t t) const { return {first_, t}; }
  /// The update on the arrival of mega-batch t has ended, with this validation error.
  void has_happened(std::int64_t t, std::optional<double> error);
  /// The updates so far.
  std::int64_t count() const { return count_; }
  /// What is new to the update after them, as far as is known now; empty at the end of the stream.
  UpdateSpan next() const;
  /// The training samples of mega-batches first .. last-1, counted from 0.
  std::int64_t train_samples(std::int64_t first, std::int64_t last) const { return sum(train_, first, last); }

 private:
  using Sums = std::vector<std::int64_t>;  // over the mega-batches before each
  static std::int64_t sum(const Sums& sums, std::int64_t first, std::int64_t last) {
    return sums[static_cast<std::size_t>(last)] - sums[static_cast<std::size_t>(first)];
  }
  std::int64_t size() const { return std::ssize(train_) - 1; }  // B

  Sums train_{0}, validation_{0};
  std::int64_t wait_;
  bool replay_;
  AutoWait auto_;
  std::int64_t first_ = 0, count_ = 0;
};

/// The updates of a whole stream of equal mega-batches: of "auto" (0) those that happen if nothing is known of the errors.
std::vector<UpdateSpan> expected_updates(std::int64_t mega_batches, std::int64_t wait);

}  // namespace alma
