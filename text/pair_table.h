#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace alma {

/// From pairs of ids to ranks: open addressing, at most half full.
class PairTable {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  explicit PairTable(std::size_t most_pairs) : slots_(std::bit_ceil(2 * most_pairs + 1)) {}

  /// False, and nothing is changed, if the pair is there. At most as often as was said.
  bool insert(std::int32_t left, std::int32_t right, std::uint32_t rank) {
    Slot& slot = slots_[place_of(left, right)];
    if (slot.rank != kNone) return false;
    slot = {left, right, rank};
    return true;
  }

  /// kNone if the pair is not there.
  std::uint32_t find(std::int32_t left, std::int32_t right) const { return slots_[place_of(left, right)].rank; }

 private:
  struct Slot {
    std::int32_t left = 0, right = 0;
    std::uint32_t rank = kNone;
  };

  std::size_t place_of(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key =
        static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
    std::size_t place = (key * 0x9e3779b97f4a7c15) >> 20 & (slots_.size() - 1);
    while (slots_[place].rank != kNone && (slots_[place].left != left || slots_[place].right != right))
      place = (place + 1) & (slots_.size() - 1);
    return place;
  }

  std::vector<Slot> slots_;
};

}  // namespace alma
