#pragma once
#include <memory>

#include "alma/learn/samples.h"
#include "text/token_stream.h"

namespace alma {

/// Windows of token shards: x i32 [n, sequence], y their targets [n * sequence], kNoLabel behind the last token of a part.
/// The measure is the perplexity. Tokens are read from the shards, or the system's cache of them, as they are needed, so
/// that no corpus is ever in memory whole; members and processes share what is there.
///
/// A step's loss is the sum over the targets divided by n * sequence: every token has the same weight, also in a window that
/// is not full.
class TokenSamples final : public Samples {
 public:
  /// The windows of `parts` in a row.
  TokenSamples(std::shared_ptr<const TokenCorpus> corpus, std::vector<TokenPart> parts, std::int64_t sequence);
  std::int64_t count() const override { return windows_.count(); }
  std::int64_t classes() const override { return corpus_->vocabulary().size; }
  Measure measure() const override { return Measure::perplexity; }
  Batch batch(const Tensor& indices, const Draw& draw) const override;
  Tensor example(Context& context) const override;
  std::int64_t evaluation_batch() const override;

 private:
  std::shared_ptr<const TokenCorpus> corpus_;
  TokenWindows windows_;
};

}  // namespace alma
