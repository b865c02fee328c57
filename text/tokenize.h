#pragma once
#include <cstdint>
#include <functional>

#include "text/documents.h"
#include "text/invalid_bytes.h"
#include "text/shard_writer.h"
#include "text/vocabulary.h"
#include "text/word_counts.h"

namespace alma {

/// What has been read and made so far, with what was there before a resumed process.
struct TokenizeProgress {
  std::int64_t documents = 0, text_bytes = 0, tokens = 0;
};
/// Is called after each group of documents; the work ends early if it returns false.
using GoOn = std::function<bool(const TokenizeProgress&)>;

/// Encodes all documents into token shards: one thread reads and writes, in order, while `threads` others encode; with 1 it
/// does all itself. The shards do not depend on the threads. Documents that the writer has from before are passed over.
/// Returns false, with everything so far saved, if it was told to end early; what throws is saved likewise. The corpus is
/// not finished: the caller calls ShardWriter::finish(). Throws Error: (data) as the reader does, for invalid UTF-8 (with
/// InvalidBytes::refuse) naming its place, and if the documents that are passed over are not those that were written.
bool tokenize(DocumentReader& documents, const Vocabulary& vocabulary, ShardWriter& writer, int threads, InvalidBytes policy,
              const GoOn& go_on);

/// Counts the words of all documents. Returns false if it was told to end early. `tokens` of the progress is 0.
bool count_words(DocumentReader& documents, WordCounts& words, InvalidBytes policy, const GoOn& go_on);

/// Calls take(ids) for each piece of all documents, without separators. Throws as tokenize() does.
void encode_documents(DocumentReader& documents, const Vocabulary& vocabulary, InvalidBytes policy,
                      const std::function<void(const std::vector<std::int32_t>& ids)>& take);

}  // namespace alma
