#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "text/shard.h"

namespace alma {

/// Documents that belong together, in the order in which they are read.
struct TokenPart {
  std::vector<std::int32_t> documents;  // by their numbers in the corpus
  std::int64_t tokens = 0;
};

struct TokenStreamSettings {
  std::int64_t mega_batches = 1;    // B
  double validation = 0, test = 0;  // fractions of all tokens
  std::uint64_t seed = 0;
};

/// A corpus divided by whole documents: a test part, a validation part, and B mega-batches for training (Caccia et al. 2022,
/// section 3). One random permutation of all documents is cut where the tokens before the cut come nearest to what they
/// should be: test * all, then validation * all, then equal mega-batches. So no size is further from its ideal than the
/// tokens of the longest document, unless a mega-batch would be left without a document. Which part a document belongs to
/// depends on (documents, test, validation, seed) alone, and the order of the training documents too: B only says where they
/// are cut.
class TokenStream {
 public:
  /// `document_tokens`: of each document, at least 1. Throws Error (usage) naming stream.validation or stream.test unless
  /// both are at least 0 and their sum is below 1; naming stream.mega_batches unless there are 1 .. as many as there are
  /// documents for training; and if a part has to have a document and there is none left. Fewer than 2^31 documents.
  TokenStream(std::span<const std::int64_t> document_tokens, const TokenStreamSettings& settings);
  TokenStream(const TokenCorpus& corpus, const TokenStreamSettings& settings);

  /// B.
  std::int64_t size() const { return std::ssize(mega_batches_); }
  const TokenPart& operator[](std::int64_t t) const { return mega_batches_[static_cast<std::size_t>(t)]; }
  const TokenPart& validation() const { return validation_; }
  const TokenPart& test() const { return test_; }

 private:
  std::vector<TokenPart> mega_batches_;
  TokenPart validation_, test_;
};

/// All documents of a corpus, in their order: for a corpus that is a validation or test set itself.
TokenPart all_documents(const TokenCorpus& corpus);

/// The samples of some parts (the mega-batches of an update, or a validation set): windows of `sequence` tokens, to be
/// predicted from those before them in the window. The documents of a part are one sequence, so a window goes on
/// from a document to the next one, with the separator between them; it does not go beyond its part. The next window begins
/// at the last token of the one before it, and the first one with a separator, as if another document had ended there: so
/// every token of the parts is a target in exactly one window. The last window of a part may have fewer targets.
///
/// A random order of the windows needs no memory: KeyedPermutation(windows.count(), seed, "windows", epoch).
/// Reads may come from any number of threads.
class TokenWindows {
 public:
  /// The corpus is used until the end of this object. sequence >= 1.
  TokenWindows(const TokenCorpus& corpus, std::vector<TokenPart> parts, std::int64_t sequence);

  std::int64_t count() const { return first_windows_.back(); }
  std::int64_t sequence() const { return sequence_; }
  /// The first window of part number `part`, 0 <= part <= parts; its windows end where the next one's begin.
  std::int64_t first_window(std::int64_t part) const { return first_windows_[static_cast<std::size_t>(part)]; }
  /// The sum of all windows' targets: the tokens of all parts.
  std::int64_t targets() const;
  /// Reads a window into `ids` [sequence + 1]: ids[i + 1] is the target after ids[i]. Returns the number of targets, 1 ..
  /// sequence; behind the last one `ids` is filled with separators. Throws as TokenShard::read() does.
  std::int64_t read(std::int64_t window, std::span<std::int32_t> ids) const;

 private:
  void read_tokens(std::size_t part, std::int64_t first, std::span<std::int32_t> ids) const;

  const TokenCorpus& corpus_;
  std::vector<TokenPart> parts_;
  std::int64_t sequence_;
  std::vector<std::int64_t> first_windows_;      // of each part, then their number
  std::vector<std::vector<std::int64_t>> ends_;  // of each part's documents, in tokens of the part
};

}  // namespace alma
