#include "alma/learn/token_samples.h"

#include <algorithm>

#include "engine/ops_loss.h"

namespace alma {

TokenSamples::TokenSamples(std::shared_ptr<const TokenCorpus> corpus, std::vector<TokenPart> parts, std::int64_t sequence)
    : corpus_(std::move(corpus)), windows_(*corpus_, std::move(parts), sequence) {}

Batch TokenSamples::batch(const Tensor& indices, const Draw&) const {
  const auto t = static_cast<std::size_t>(windows_.sequence()), n = static_cast<std::size_t>(indices.count());
  std::vector<std::int32_t> x(n * t), y(n * t), ids(t + 1);
  std::int64_t ignored = 0, row = 0;
  for (const std::int32_t window : indices.to_vector<std::int32_t>()) {
    const auto targets = static_cast<std::ptrdiff_t>(windows_.read(window, ids));
    const auto first = static_cast<std::ptrdiff_t>(t) * row++;
    std::copy(ids.begin(), ids.end() - 1, x.begin() + first);
    std::copy_n(ids.begin() + 1, targets, y.begin() + first);
    std::fill(y.begin() + first + targets, y.begin() + first + static_cast<std::ptrdiff_t>(t), kNoLabel);
    ignored += static_cast<std::ptrdiff_t>(t) - targets;
  }
  Context& context = indices.context();
  return {Tensor::from(context, {row, windows_.sequence()}, x), Tensor::from(context, {std::ssize(y)}, y), ignored};
}

Tensor TokenSamples::example(Context& context) const { return Tensor::zeros(context, {1, windows_.sequence()}, DType::i32); }

// 4,096 tokens fill a core; a committee has the logits of all of them at a time.
std::int64_t TokenSamples::evaluation_batch() const {
  const std::int64_t tokens = std::min<std::int64_t>(4096, kMostLogits / classes());
  return std::max<std::int64_t>(1, tokens / windows_.sequence());
}

}  // namespace alma
