#include "text/word_merger.h"

#include <algorithm>
#include <array>
#include <functional>
#include <mutex>
#include <optional>

#include "base/error.h"

namespace alma {

namespace {

// Up to this length the search for the lowest rank in an array is faster than a heap.
constexpr std::size_t kShort = 64;

constexpr std::uint32_t kEnd = 0xffffffff;

// A word takes 32 times its length of memory. Words beyond kHuge take turns, whatever thread they are in, and leave nothing
// behind.
constexpr std::size_t kHuge = std::size_t{1} << 18;
std::mutex huge_word;

}  // namespace

void WordMerger::merge(std::string_view word, std::vector<std::int32_t>& ids) {
  if (word.size() <= kShort) return merge_short(word, ids);
  if (word.size() <= kHuge) return merge_long(word, ids);
  if (word.size() > kLongestWord)
    fail(ErrorKind::data, "a word of ", word.size(), " bytes; expected at most ", kLongestWord,
         " bytes without white space between them");
  const std::lock_guard lock(huge_word);
  WordMerger huge(vocabulary_);
  huge.merge_long(word, ids);
  steps_ += huge.steps_;
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

// A queue of ranks and places, with entries that no longer hold left in it: the lowest rank comes first, then the leftmost
// place. The pairs of the word itself are sorted, and read one after the other; those that merges make are a heap, which is
// small beside them: in a heap of all, each entry of a long word would be far from the last one in memory.
void WordMerger::merge_long(std::string_view word, std::vector<std::int32_t>& ids) {
  const std::uint32_t count = static_cast<std::uint32_t>(word.size());
  places_.clear();
  sorted_.clear();
  heap_.clear();
  places_.reserve(count);  // exactly: a vector that grows by itself takes up to three times as much on the way
  sorted_.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i)
    places_.push_back({vocabulary_.byte_token(static_cast<unsigned char>(word[i])), i == 0 ? kEnd : i - 1,
                       i + 1 == count ? kEnd : i + 1, PairTable::kNone});
  const auto ranked = [&](std::uint32_t at) -> std::optional<std::uint64_t> {
    Place& place = places_[at];
    place.rank = place.after == kEnd ? PairTable::kNone : rank(place.token, places_[place.after].token);
    return place.rank == PairTable::kNone ? std::nullopt : std::optional(std::uint64_t{place.rank} << 32 | at);
  };
  for (std::uint32_t i = 0; i < count; ++i)
    if (const auto entry = ranked(i)) sorted_.push_back(*entry);
  std::sort(sorted_.begin(), sorted_.end());
  const auto push = [&](std::uint32_t at) {
    const auto entry = ranked(at);
    if (!entry) return;
    heap_.push_back(*entry);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  };

  for (auto next_sorted = sorted_.begin(); next_sorted != sorted_.end() || !heap_.empty();) {
    ++steps_;
    std::uint64_t entry;
    if (heap_.empty() || (next_sorted != sorted_.end() && *next_sorted < heap_.front())) {
      entry = *next_sorted++;
    } else {
      entry = heap_.front();
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      heap_.pop_back();
    }
    const std::uint32_t lowest = static_cast<std::uint32_t>(entry >> 32), at = static_cast<std::uint32_t>(entry);
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
