#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "text/shard_manifest.h"

namespace alma {

/// A token shard (text/shard_manifest.h) that is read through a checked window: each read looks at the size of the file, so
/// that a shard which shrinks or grows is an Error and not a signal. Reads may come from any number of threads, and
/// processes share the system's cache of the file. Every failure is an Error (data) with path, what was found and what was
/// expected.
class TokenShard {
 public:
  /// Opens NAME.json, NAME.idx and NAME.bin. Reads the index and compares it with its checksum; of the tokens, which may be
  /// large, it looks at the size alone (verify() reads them).
  explicit TokenShard(const std::filesystem::path& manifest);

  const std::filesystem::path& path() const { return path_; }
  const ShardManifest& manifest() const { return manifest_; }
  std::int64_t tokens() const { return manifest_.content.tokens; }
  std::int64_t documents() const { return manifest_.content.documents; }
  /// The first token of a document, 0 <= document <= documents(); its tokens end where the next one's begin.
  std::int64_t document_begin(std::int64_t document) const { return begins_[static_cast<std::size_t>(document)]; }

  /// Reads the tokens from `first` on. Throws, beside the above, for an id beyond the vocabulary.
  void read(std::int64_t first, std::span<std::int32_t> ids) const;
  /// Reads all tokens: compares them with the checksum, and looks whether each document ends with the separator.
  void verify() const;

 private:
  void open_index();
  void read_index(File& file, Sha256& sum);
  void require_size() const;

  std::filesystem::path path_;  // of the manifest
  ShardManifest manifest_;
  File bin_;
  std::vector<std::uint32_t> begins_;  // documents + 1
};

/// All shards of a corpus, in order. A document is named by its number in the whole corpus.
class TokenCorpus {
 public:
  /// `path`: PREFIX of PREFIX-00000.json, PREFIX-00001.json, ..., or the path of the only manifest to be read. Throws Error
  /// (data) as TokenShard does, and if a shard is missing or belongs to another corpus.
  explicit TokenCorpus(const std::filesystem::path& path);

  const TokenVocabulary& vocabulary() const { return shards_.front().manifest().vocabulary; }
  /// Throws Error (data) if the ids are those of another vocabulary.
  void require_vocabulary(const std::string& sha256) const;

  const std::vector<TokenShard>& shards() const { return shards_; }
  std::int64_t documents() const { return first_documents_.back(); }
  std::int64_t tokens() const;
  std::int64_t text_bytes() const;
  std::int64_t document_tokens(std::int64_t document) const;
  /// Reads tokens of a document, from number `first` of it on.
  void read(std::int64_t document, std::int64_t first, std::span<std::int32_t> ids) const;

 private:
  struct Place {
    const TokenShard& shard;
    std::int64_t document;  // in the shard
  };
  Place place(std::int64_t document) const;

  std::vector<TokenShard> shards_;
  std::vector<std::int64_t> first_documents_;  // of each shard, then their number
};

}  // namespace alma
