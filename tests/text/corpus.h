#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "text/shard_writer.h"

namespace alma::test {

using Tokens = std::vector<std::int32_t>;

inline TokenVocabulary vocabulary(std::int64_t size = 100) { return {std::string(64, 'a'), size, size - 1, "alma test"}; }

/// Documents of 0 .. longest tokens below the separator, by a closed stream.
inline std::vector<Tokens> documents(std::int64_t count, std::uint32_t longest, std::int64_t size = 100,
                                     std::uint64_t seed = 1) {
  RandomStream random(seed, "documents of a test");
  std::vector<Tokens> all(static_cast<std::size_t>(count));
  for (Tokens& tokens : all) {
    tokens.resize(random.below(longest + 1));
    for (std::int32_t& id : tokens) id = static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(size - 1)));
  }
  return all;
}

/// Writes documents, those that are there already left out; each has three bytes of text per token.
inline void write_documents(ShardWriter& writer, const std::vector<Tokens>& all) {
  for (std::size_t i = static_cast<std::size_t>(writer.documents()); i < all.size(); ++i) {
    const std::span<const std::int32_t> tokens = all[i];
    const std::size_t half = tokens.size() / 2;
    writer.append(tokens.first(half));
    writer.append(tokens.subspan(half));
    writer.end_document(3 * std::ssize(tokens));
  }
}

inline const std::vector<TextSource>& sources() {
  static const std::vector<TextSource> all = {{"a \xff.txt", 12, std::string(64, '1')}, {"b.txt", 0, std::string(64, '2')}};
  return all;
}

/// A whole corpus; returns its manifests.
inline std::vector<std::filesystem::path> write_corpus(ShardSettings settings, const std::vector<Tokens>& all) {
  ShardWriter writer(std::move(settings), false);
  write_documents(writer, all);
  return writer.finish(sources());
}

}  // namespace alma::test
