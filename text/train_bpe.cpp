#include "text/train_bpe.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "text/byte_alphabet.h"

namespace alma {

namespace {

struct Pair {
  std::int32_t left, right;
  bool operator==(const Pair&) const = default;
  auto operator<=>(const Pair&) const = default;
};

struct PairHash {
  std::size_t operator()(const Pair& pair) const {
    const std::uint64_t key = static_cast<std::uint64_t>(pair.left) << 32 | static_cast<std::uint32_t>(pair.right);
    return (key ^ key >> 29) * 0x9e3779b97f4a7c15 >> 16;
  }
};

class Trainer {
 public:
  Trainer(const WordCounts& words, std::size_t tokens);
  void run();
  Vocabulary vocabulary() const;

 private:
  struct Word {
    std::size_t begin;  // in symbols_
    std::size_t size;
    std::int64_t count;
  };
  struct Occurrences {
    std::int64_t count = 0;
    std::vector<std::uint32_t> words;  // where the pair has appeared and is not in queue_ yet
  };
  struct Candidate {
    std::int64_t count;
    Pair pair;
    std::vector<std::uint32_t> words;
    bool operator<(const Candidate& other) const { return count != other.count ? count < other.count : other.pair < pair; }
  };

  void change(const Pair& pair, std::int64_t by, std::uint32_t word);
  void queue_changed();
  std::int32_t token_of(const Pair& pair);
  void merge_in(std::uint32_t word, const Pair& pair, std::int32_t merged);

  std::size_t most_tokens_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, std::int32_t> ids_;
  std::vector<Merge> merges_;
  std::vector<std::int32_t> symbols_;
  std::vector<Word> words_;
  std::unordered_map<Pair, Occurrences, PairHash> pairs_;
  std::vector<Pair> changed_;  // pairs that have words to be queued
  std::vector<Candidate> queue_;
};

Trainer::Trainer(const WordCounts& words, std::size_t tokens) : most_tokens_(tokens) {
  std::array<std::int32_t, 256> id_of_byte{};
  for (const unsigned char byte : bytes_by_character()) {
    id_of_byte[byte] = static_cast<std::int32_t>(tokens_.size());
    ids_.emplace(std::string(1, static_cast<char>(byte)), id_of_byte[byte]);
    tokens_.emplace_back(1, static_cast<char>(byte));
  }
  for (const auto& [text, count] : words.counts()) {
    words_.push_back({symbols_.size(), text.size(), count});
    for (const char byte : text) symbols_.push_back(id_of_byte[static_cast<unsigned char>(byte)]);
  }
  for (std::uint32_t i = 0; i < words_.size(); ++i)
    for (std::size_t at = words_[i].begin; at + 1 < words_[i].begin + words_[i].size; ++at)
      change({symbols_[at], symbols_[at + 1]}, 1, i);
  queue_changed();
}

void Trainer::change(const Pair& pair, std::int64_t by, std::uint32_t word) {
  Occurrences& occurrences = pairs_[pair];
  occurrences.count += by * words_[word].count;
  if (by < 0) return;
  if (occurrences.words.empty()) changed_.push_back(pair);
  if (occurrences.words.empty() || occurrences.words.back() != word) occurrences.words.push_back(word);
}

void Trainer::queue_changed() {
  for (const Pair& pair : changed_) {
    Occurrences& occurrences = pairs_[pair];
    std::vector<std::uint32_t> words = std::exchange(occurrences.words, {});
    if (occurrences.count <= 0) continue;  // it appeared, and vanished in the same step
    queue_.push_back({occurrences.count, pair, std::move(words)});
    std::push_heap(queue_.begin(), queue_.end());
  }
  changed_.clear();
}

void Trainer::run() {
  while (tokens_.size() < most_tokens_ && !queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end());
    Candidate best = std::move(queue_.back());
    queue_.pop_back();
    if (const std::int64_t now = pairs_[best.pair].count; now != best.count) {  // other merges have taken some of them
      best.count = now;
      queue_.push_back(std::move(best));
      std::push_heap(queue_.begin(), queue_.end());
      continue;
    }
    if (best.count < 1) break;
    const std::int32_t merged = token_of(best.pair);
    merges_.push_back({best.pair.left, best.pair.right, merged});
    for (const std::uint32_t word : best.words) merge_in(word, best.pair, merged);
    queue_changed();
  }
}

// Two pairs may be the same bytes, "aa" + "a" and "a" + "aa": there is one token of them.
std::int32_t Trainer::token_of(const Pair& pair) {
  const std::string bytes = tokens_[static_cast<std::size_t>(pair.left)] + tokens_[static_cast<std::size_t>(pair.right)];
  const auto [known, is_new] = ids_.emplace(bytes, static_cast<std::int32_t>(tokens_.size()));
  if (is_new) tokens_.push_back(bytes);
  return known->second;
}

// The count of the pair itself stays, as Hugging Face's does: it matters where the pair comes back, beside a token that was
// there before. In "aaa" the second pair ends as a neighbour of the first.
void Trainer::merge_in(std::uint32_t number, const Pair& pair, std::int32_t merged) {
  Word& word = words_[number];
  std::int32_t* const symbols = symbols_.data() + word.begin;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < word.size; ++i) {
    if (symbols[i] != pair.left || i + 1 == word.size || symbols[i + 1] != pair.right) {
      symbols[kept++] = symbols[i];
      continue;
    }
    if (kept > 0) {
      change({symbols[kept - 1], pair.left}, -1, number);
      change({symbols[kept - 1], merged}, 1, number);
    }
    ++i;
    if (i + 1 < word.size) {
      change({pair.right, symbols[i + 1]}, -1, number);
      change({merged, symbols[i + 1]}, 1, number);
    }
    symbols[kept++] = merged;
  }
  word.size = kept;
}

Vocabulary Trainer::vocabulary() const {
  // A pair may come twice, when a merge makes a token that was there before; the later place is the one that counts.
  std::vector<Merge> merges;
  std::unordered_set<Pair, PairHash> known;
  for (auto merge = merges_.rbegin(); merge != merges_.rend(); ++merge)
    if (known.insert({merge->left, merge->right}).second) merges.push_back(*merge);
  std::reverse(merges.begin(), merges.end());
  std::vector<std::string> tokens = tokens_;
  tokens.emplace_back(kEndOfText);
  return Vocabulary(std::move(tokens), std::move(merges));
}

}  // namespace

Vocabulary train_bpe(const WordCounts& words, std::int32_t size) {
  constexpr std::int32_t least = 257;  // bytes and kEndOfText
  if (size < least)
    fail(ErrorKind::usage, "a vocabulary of ", size, " entries, expected at least ", least, ", as each byte is one");
  Trainer trainer(words, static_cast<std::size_t>(size) - 1);
  trainer.run();
  return trainer.vocabulary();
}

}  // namespace alma
