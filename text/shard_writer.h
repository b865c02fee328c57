#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file_lock.h"
#include "text/shard_manifest.h"

namespace alma {

struct ShardSettings {
  std::filesystem::path prefix;  // PREFIX-00000.bin and so on; folders on the way are made
  TokenVocabulary vocabulary;
  ShardLayout layout = ShardLayout::megatron;
  std::int64_t shard_tokens = kMostShardTokens;  // the most in a shard
  double checkpoint_seconds = 5;                 // between the moments from which a killed process can be resumed
};

/// Writes the documents of a corpus, in order, into token shards (text/shard_manifest.h). A document lies in one shard; a
/// shard ends before the first document that does not fit, so the shards depend on the documents alone.
///
/// All files are written under other names and renamed when they are complete, the manifests last: a corpus without them is
/// unfinished. A process that is killed, in whatever way, is resumed by another one: it passes the same documents from
/// number documents() on, and the files get the same bytes. PREFIX.progress.json, which is renamed into its place, says how
/// much of the other files counts. PREFIX.lock admits one process at a time, and stays.
class ShardWriter {
 public:
  /// Throws Error: (usage) without `resume` if there is a corpus, whole or not, with this prefix; with it, if the
  /// corpus was begun with other settings; for a vocabulary that the layout cannot hold; if another process is writing.
  /// (data) if the unfinished files are damaged. (failed) if files cannot be written.
  ShardWriter(ShardSettings settings, bool resume);
  ~ShardWriter();

  /// Whether the corpus is complete, and there is nothing left to be done.
  bool complete() const { return complete_; }
  /// What was there already, and what was added since. Who resumes can see by the bytes whether the text is still the same.
  std::int64_t documents() const { return finished_sum_.documents + current_.documents; }
  std::int64_t tokens() const { return finished_sum_.tokens + current_.tokens; }
  std::int64_t text_bytes() const { return finished_sum_.text_bytes + current_.text_bytes; }

  /// Adds tokens to the current document. Throws Error: (failed) for an id beyond the vocabulary; (data) if the document
  /// has more tokens than fit into a shard.
  void append(std::span<const std::int32_t> ids);
  /// Ends the current document, which may be empty, with the separator. `text_bytes`: the length of its text.
  void end_document(std::int64_t text_bytes);
  /// Writes what there is, so that a killed process can be resumed from the last whole document.
  void save();
  /// Completes the corpus, which has at least one document. Returns the manifests' paths.
  std::vector<std::filesystem::path> finish(const std::vector<TextSource>& sources);

 private:
  struct Files;
  std::int64_t id_bytes() const;
  std::int64_t header_bytes() const;
  std::filesystem::path progress_path() const;
  void require_nothing_there() const;
  void require_same(bool same) const;
  void check_manifest(const std::string& text) const;
  void load_progress(const std::string& text);
  void open_current(bool continued);
  void flush();
  void save_progress() const;
  void begin_next_shard();
  void finish_shard();
  void add_finished(const ShardContent& content);
  std::string write_index();

  ShardSettings settings_;
  std::unique_ptr<FileLock> lock_;
  std::vector<ShardContent> finished_;
  ShardContent finished_sum_;
  ShardContent current_;              // of the current shard: its complete documents
  std::int64_t document_tokens_ = 0;  // of the current document
  std::unique_ptr<Files> files_;      // of the current shard
  double saved_ = 0;                  // when, in steady_seconds()
  bool complete_ = false;
};

}  // namespace alma
