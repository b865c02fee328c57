#include "text/token_stream.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace alma {
namespace {

std::vector<std::int64_t> document_tokens(const TokenCorpus& corpus) {
  std::vector<std::int64_t> all;
  all.reserve(static_cast<std::size_t>(corpus.documents()));
  for (std::int64_t i = 0; i < corpus.documents(); ++i) all.push_back(corpus.document_tokens(i));
  return all;
}

/// Documents in random order, from which parts are cut one after the other.
class Cutter {
 public:
  Cutter(std::span<const std::int64_t> document_tokens, std::uint64_t seed)
      : order_(RandomStream(seed, "documents").permutation(std::ssize(document_tokens))), before_(1, 0) {
    for (const std::int32_t document : order_)
      before_.push_back(before_.back() + document_tokens[static_cast<std::size_t>(document)]);
  }

  std::int64_t left() const { return std::ssize(order_) - next_; }
  std::int64_t tokens_left() const { return before_.back() - before_[at(next_)]; }
  std::int64_t position() const { return before_[at(next_)]; }

  /// Cuts where the tokens before the cut come nearest to `end`, the fewer of two that are equally near, with at least one
  /// document and at least `spare` documents left.
  TokenPart cut(std::int64_t end, std::int64_t spare) {
    const auto first = before_.begin() + next_ + 1, last = before_.end() - 1 - spare;
    auto found = std::lower_bound(first, last, end);
    if (found != first && end - *(found - 1) <= *found - end) --found;
    const std::int64_t begin = std::exchange(next_, found - before_.begin());
    return {{order_.begin() + begin, order_.begin() + next_}, before_[at(next_)] - before_[at(begin)]};
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  std::vector<std::int32_t> order_;
  std::vector<std::int64_t> before_;  // tokens before each document of the order, then all
  std::int64_t next_ = 0;
};

}  // namespace

TokenStream::TokenStream(std::span<const std::int64_t> document_tokens, const TokenStreamSettings& settings) {
  const auto& [mega_batches, validation, test, seed] = settings;
  if (std::ssize(document_tokens) > std::numeric_limits<std::int32_t>::max())
    fail(ErrorKind::data, "a corpus of ", document_tokens.size(), " documents; a stream holds fewer than 2^31");
  if (!(validation >= 0 && test >= 0 && validation + test < 1))  // this way round, NaN is refused too
    fail(ErrorKind::usage, "stream.validation = ", validation, ", stream.test = ", test,
         ": expected fractions of at least 0, together below 1");
  const std::int64_t held_out = (validation > 0) + (test > 0), most = std::ssize(document_tokens) - held_out;
  if (most < 1)
    fail(ErrorKind::usage, "a corpus of ", document_tokens.size(),
         " documents is too small for training, validation and test: divide "
         "it into more documents, or set stream.validation and stream.test to 0");

  Cutter documents(document_tokens, seed);
  const auto all = static_cast<double>(documents.tokens_left());
  if (test > 0) test_ = documents.cut(std::llround(test * all), 1 + (validation > 0));
  if (validation > 0) validation_ = documents.cut(std::llround((test + validation) * all), 1);
  if (mega_batches < 1 || mega_batches > documents.left())
    fail(ErrorKind::usage, "stream.mega_batches = ", mega_batches, ": expected 1 .. ", documents.left(),
         " (the number of training documents: a mega-batch has at least one)");
  const std::int64_t begin = documents.position(), tokens = documents.tokens_left();
  for (std::int64_t t = 1; t <= mega_batches; ++t) {
    // tokens * t / mega_batches, without the product that could overflow
    const std::int64_t share = tokens / mega_batches * t + tokens % mega_batches * t / mega_batches;
    mega_batches_.push_back(documents.cut(begin + share, mega_batches - t));
  }
}

TokenStream::TokenStream(const TokenCorpus& corpus, const TokenStreamSettings& settings)
    : TokenStream(document_tokens(corpus), settings) {}

TokenPart all_documents(const TokenCorpus& corpus) {
  TokenPart part{std::vector<std::int32_t>(static_cast<std::size_t>(corpus.documents())), corpus.tokens()};
  std::iota(part.documents.begin(), part.documents.end(), 0);
  return part;
}

// ---- windows -----------------------------------------------------------------------------------------------------------

TokenWindows::TokenWindows(const TokenCorpus& corpus, std::vector<TokenPart> parts, std::int64_t sequence)
    : corpus_(corpus), parts_(std::move(parts)), sequence_(sequence), first_windows_(1, 0) {
  if (sequence < 1) fail(ErrorKind::usage, "stream.sequence = ", sequence, ": expected at least 1");
  for (const TokenPart& part : parts_) {
    std::vector<std::int64_t>& ends = ends_.emplace_back();
    std::int64_t end = 0;
    for (const std::int32_t document : part.documents) ends.push_back(end += corpus.document_tokens(document));
    if (end != part.tokens)
      fail("[windows] documents of ", end, " tokens in a part of ", part.tokens, ": it is of another corpus");
    first_windows_.push_back(first_windows_.back() + (end + sequence - 1) / sequence);
  }
}

std::int64_t TokenWindows::targets() const {
  std::int64_t sum = 0;
  for (const TokenPart& part : parts_) sum += part.tokens;
  return sum;
}

std::int64_t TokenWindows::read(std::int64_t window, std::span<std::int32_t> ids) const {
  if (window < 0 || window >= count() || std::ssize(ids) != sequence_ + 1)
    fail("[windows] window ", window, " of ", count(), ", ", ids.size(), " ids, expected ", sequence_ + 1);
  const auto next = std::upper_bound(first_windows_.begin(), first_windows_.end(), window);
  const auto part = static_cast<std::size_t>(next - first_windows_.begin()) - 1;
  const std::int64_t first = (window - first_windows_[part]) * sequence_;
  const std::int64_t targets = std::min(sequence_, parts_[part].tokens - first);
  const auto separator = static_cast<std::int32_t>(corpus_.vocabulary().separator);
  if (first == 0) {
    ids[0] = separator;
    read_tokens(part, 0, ids.subspan(1, static_cast<std::size_t>(targets)));
  } else {
    read_tokens(part, first - 1, ids.first(static_cast<std::size_t>(targets + 1)));
  }
  std::fill(ids.begin() + targets + 1, ids.end(), separator);
  return targets;
}

/// Reads tokens of a part, whichever documents they are in.
void TokenWindows::read_tokens(std::size_t part, std::int64_t first, std::span<std::int32_t> ids) const {
  const std::vector<std::int64_t>& ends = ends_[part];
  auto document = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), first) - ends.begin());
  for (; !ids.empty(); ++document) {
    const std::int64_t begin = document == 0 ? 0 : ends[document - 1];
    const auto count = static_cast<std::size_t>(std::min(ends[document] - first, std::ssize(ids)));
    corpus_.read(parts_[part].documents[document], first - begin, ids.first(count));
    ids = ids.subspan(count);
    first = ends[document];
  }
}

}  // namespace alma
