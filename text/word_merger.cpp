#include "text/word_merger.h"

#include <algorithm>
#include <array>
#include <functional>

#include "base/error.h"

namespace alma {

namespace {

// Up to this length the search for the lowest rank in an array is faster than a heap.
constexpr std::size_t kShort = 64;

constexpr std::uint32_t kEnd = 0xffffffff;

}  // namespace

void WordMerger::merge(std::string_view word, std::vector<std::int32_t>& ids) {
  if (word.size() <= kShort)
    merge_short(word, ids);
  else
    merge_long(word, ids);
}

void WordMerger::merge_short(std::string_view word, std::vector<std::int32_t>& ids) {
  struct Symbol {
    std::int32_t token;
    std::uint32_t rank;  // of the pair that it forms with the next symbol
  };
  std::array<Symbol, kShort> symbols;
  std::size_t count = word.size();
  for (std::size_t i = 0; i < count; ++i) symbols[i].token = vocabulary_.byte_token(static_cast<unsigned char>(word[i]));
  const auto update = [&](std::size_t i) {
    symbols[i].rank = i + 1 < count ? rank(symbols[i].token, symbols[i + 1].token) : PairTable::kNone;
  };
  for (std::size_t i = 0; i < count; ++i) update(i);
  for (;;) {
    steps_ += count;
    std::size_t at = 0;
    std::uint32_t lowest = PairTable::kNone;
    for (std::size_t i = 0; i < count; ++i) {  // without branches, which nobody could predict
      const bool lower = symbols[i].rank < lowest;
      lowest = lower ? symbols[i].rank : lowest;
      at = lower ? i : at;
    }
    if (lowest == PairTable::kNone) break;
    symbols[at].token = vocabulary_.merges()[lowest].token;
    --count;
    for (std::size_t i = at + 1; i < count; ++i) symbols[i] = symbols[i + 1];
    update(at);
    if (at > 0) update(at - 1);
  }
  for (std::size_t i = 0; i < count; ++i) ids.push_back(symbols[i].token);
}

// A heap of ranks and places, with entries that no longer hold left in it. The lowest rank comes first, then the leftmost
// place.
void WordMerger::merge_long(std::string_view word, std::vector<std::int32_t>& ids) {
  if (word.size() >= kEnd) fail(ErrorKind::data, "a word of ", word.size(), " bytes, expected less than 2^32");
  const auto entry = [](std::uint32_t rank, std::uint32_t place) { return static_cast<std::uint64_t>(rank) << 32 | place; };
  const std::uint32_t count = static_cast<std::uint32_t>(word.size());
  places_.clear();
  queue_.clear();
  for (std::uint32_t i = 0; i < count; ++i)
    places_.push_back({vocabulary_.byte_token(static_cast<unsigned char>(word[i])), i == 0 ? kEnd : i - 1,
                       i + 1 == count ? kEnd : i + 1, PairTable::kNone});
  const auto update = [&](std::uint32_t at) {
    Place& place = places_[at];
    place.rank = place.after == kEnd ? PairTable::kNone : rank(place.token, places_[place.after].token);
    if (place.rank != PairTable::kNone) queue_.push_back(entry(place.rank, at));
    return place.rank != PairTable::kNone;
  };
  for (std::uint32_t i = 0; i < count; ++i) update(i);
  std::make_heap(queue_.begin(), queue_.end(), std::greater<>());

  const auto push = [&](std::uint32_t at) {
    if (update(at)) std::push_heap(queue_.begin(), queue_.end(), std::greater<>());
  };
  while (!queue_.empty()) {
    ++steps_;
    const std::uint32_t lowest = static_cast<std::uint32_t>(queue_.front() >> 32),
                        at = static_cast<std::uint32_t>(queue_.front());
    std::pop_heap(queue_.begin(), queue_.end(), std::greater<>());
    queue_.pop_back();
    Place& place = places_[at];
    if (place.rank != lowest) continue;
    Place& next = places_[place.after];
    place.token = vocabulary_.merges()[lowest].token;
    place.after = next.after;
    next.rank = PairTable::kNone;
    if (place.after != kEnd) places_[place.after].before = at;
    push(at);
    if (place.before != kEnd) push(place.before);
  }
  for (std::uint32_t at = 0; at != kEnd; at = places_[at].after) ids.push_back(places_[at].token);
}

}  // namespace alma
