#pragma once
#include <cmath>
#include <filesystem>

#include "alma/config/config.h"
#include "tests/text/corpus.h"

namespace alma::test {

/// Documents in which token t is followed by 7 t + 1 (mod kWords) with probability .8, else by any word. What is left to
/// learn is known: perplexity_of_chain() is the best that a model can reach inside of documents.
inline constexpr std::int64_t kWords = 31;
inline std::vector<Tokens> chain_documents(std::int64_t count, std::int64_t length, std::uint64_t seed = 1) {
  RandomStream random(seed, "chains");
  std::vector<Tokens> all(static_cast<std::size_t>(count));
  for (Tokens& tokens : all) {
    std::uint32_t word = random.below(kWords);
    for (std::int64_t i = 0; i < length; ++i) {
      tokens.push_back(static_cast<std::int32_t>(word));
      word = random.uniform(0, 1) < 0.8 ? (7 * word + 1) % kWords : random.below(kWords);
    }
  }
  return all;
}
inline double perplexity_of_chain() {
  const double other = 0.2 / static_cast<double>(kWords), next = 0.8 + other;
  return std::exp(-next * std::log(next) - static_cast<double>(kWords - 1) * other * std::log(other));
}

/// Writes such documents as PREFIX-00000.json, ...; three bytes of text per token.
inline void write_chains(const std::filesystem::path& prefix, std::int64_t count, std::int64_t length,
                         std::uint64_t seed = 1) {
  write_corpus({.prefix = prefix, .vocabulary = vocabulary(kWords + 1)}, chain_documents(count, length, seed));
}

/// A small Switch Transformer on them: 4 mega-batches, a run of a second.
inline Config small_text_config(const std::filesystem::path& prefix) {
  Config config;
  config.stream.dataset = "text";
  config.stream.tokens = prefix;
  config.stream.sequence = 16;
  config.stream.mega_batches = 4;
  config.model.architecture = "switch";
  config.model.width = 16;
  config.model.layers = 2;
  config.model.heads = 2;
  config.model.experts = 2;
  config.model.capacity = 1.5;
  config.train.optimizer = "adamw";
  config.train.lr = 0.01;
  config.train.batch_size = 4;
  config.train.max_epochs = 2;
  return config;
}

}  // namespace alma::test
