#include "text/shard_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/checksum.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "data/part_file.h"

namespace alma {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBuffer = std::size_t{1} << 20;  // bytes
constexpr std::int64_t kLlmcMagic = 20240520, kLlmcHeaderBytes = 1024, kLlmcLargestVocabulary = 65536;

/// Calls take(bytes) for the bytes of a file from `begin` to `end`, a block at a time.
template <class Take>
void read_range(const File& file, std::int64_t begin, std::int64_t end, const Take& take) {
  std::vector<std::uint8_t> block(kBuffer);
  while (begin < end) {
    const auto bytes = static_cast<std::size_t>(std::min<std::int64_t>(end - begin, std::ssize(block)));
    const ssize_t got = ::pread(file.descriptor(), block.data(), bytes, begin);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      fail("cannot read ", file.path().string(), ": ",
           got < 0 ? system_error_text(errno) : "it has shrunk while it was written");
    take(std::span<const std::uint8_t>(block).first(static_cast<std::size_t>(got)));
    begin += got;
  }
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Replaces a file. Unlike that of write_atomically(), the temporary file has a name that the next process uses again.
void replace_file(const fs::path& path, std::string_view text) {
  PartFile file(path, PartFile::Unfinished::remove);
  file.append(bytes_of(text));
  file.publish();
}

template <class Value>
void append_value(std::string& bytes, Value value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class Id>
void append_as(std::string& bytes, std::span<const std::int32_t> ids) {
  std::size_t at = bytes.size();
  bytes.resize(at + ids.size() * sizeof(Id));
  for (const std::int32_t id : ids) {
    const Id value = static_cast<Id>(id);
    std::memcpy(bytes.data() + at, &value, sizeof value);
    at += sizeof value;
  }
}

/// A part of the index, which is published beside the tokens.
class IndexFile {
 public:
  explicit IndexFile(const fs::path& path) : file_(path, PartFile::Unfinished::remove) {}

  template <class Value>
  void add(Value value) {
    append_value(buffer_, value);
    if (buffer_.size() >= kBuffer) flush();
  }
  /// Returns the checksum.
  std::string publish() {
    flush();
    file_.publish();
    return sum_.hex();
  }

 private:
  void flush() {
    sum_.add(buffer_);
    file_.append(bytes_of(buffer_));
    buffer_.clear();
  }

  PartFile file_;
  std::string buffer_;
  Sha256 sum_;
};

}  // namespace

/// The files of the current shard, and what is still to be written to them.
struct ShardWriter::Files {
  Files(const fs::path& prefix, std::int64_t shard)
      : bin(shard_path(prefix, shard, ".bin"), PartFile::Unfinished::keep),
        lengths(shard_path(prefix, shard, ".lengths"), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW) {}

  PartFile bin;
  File lengths;  // of the documents, i32: the index is made of them
  std::string new_ids, new_lengths;
};

ShardWriter::~ShardWriter() = default;

std::int64_t ShardWriter::id_bytes() const {
  return settings_.layout == ShardLayout::llmc ? 2 : settings_.vocabulary.token_bytes();
}

std::int64_t ShardWriter::header_bytes() const { return settings_.layout == ShardLayout::llmc ? kLlmcHeaderBytes : 0; }

fs::path ShardWriter::progress_path() const { return settings_.prefix.string() + ".progress.json"; }

ShardWriter::ShardWriter(ShardSettings settings, bool resume) : settings_(std::move(settings)) {
  const TokenVocabulary& vocabulary = settings_.vocabulary;
  if (settings_.layout == ShardLayout::llmc && vocabulary.size > kLlmcLargestVocabulary)
    fail(ErrorKind::usage, "llm.c's layout has ids of 16 bits, and the vocabulary has ", vocabulary.size,
         " entries, expected at most ", kLlmcLargestVocabulary);
  if (settings_.shard_tokens < 1 || settings_.shard_tokens > kMostShardTokens)
    fail(ErrorKind::usage, "a shard of ", settings_.shard_tokens, " tokens; expected 1 .. ", kMostShardTokens);
  if (settings_.prefix.has_parent_path()) fs::create_directories(settings_.prefix.parent_path());
  lock_ = std::make_unique<FileLock>(settings_.prefix.string() + ".lock");
  if (lock_->take() == FileLock::State::busy)
    fail(ErrorKind::usage, settings_.prefix.string(), ": another process is writing this corpus; wait until it ends");

  const auto progress = read_plain_file(progress_path());
  const auto manifest = progress ? std::nullopt : read_plain_file(shard_path(settings_.prefix, 0, ".json"));
  if (!resume || !(progress || manifest)) require_nothing_there();
  if (manifest) {
    check_manifest(*manifest);
    complete_ = true;
    return;
  }
  if (progress) load_progress(*progress);
  open_current(progress.has_value());
}

void ShardWriter::require_nothing_there() const {
  for (const fs::path& path :
       {progress_path(), shard_path(settings_.prefix, 0, ".json"), shard_path(settings_.prefix, 0, ".bin")})
    if (fs::exists(path))
      fail(ErrorKind::usage, path.string(), " exists; resume what has written it, remove it, or choose another name");
}

// ---- progress ----------------------------------------------------------------------------------------------------------

void ShardWriter::save_progress() const {
  nlohmann::json object = {{"vocabulary", to_json(settings_.vocabulary)},
                           {"layout", name_of(settings_.layout)},
                           {"shard_tokens", settings_.shard_tokens},
                           {"finished", nlohmann::json::array()},
                           {"current", to_json(current_)}};
  for (const ShardContent& content : finished_) object["finished"].push_back(to_json(content));
  replace_file(progress_path(), object.dump(1) + "\n");
}

void ShardWriter::require_same(bool same) const {
  if (!same)
    fail(ErrorKind::usage, settings_.prefix.string(),
         ": this corpus was begun with another vocabulary, separator, tokenizer, layout or size of shards; resume it with "
         "the "
         "same, or begin under another name");
}

void ShardWriter::check_manifest(const std::string& text) const try {
  const ShardManifest manifest = parse_manifest(text);
  require_same(manifest.vocabulary == settings_.vocabulary && manifest.layout == settings_.layout);
} catch (const JsonError& error) {
  fail(ErrorKind::data, shard_path(settings_.prefix, 0, ".json").string(), ": ", error.what(),
       "; remove the corpus and begin again");
}

void ShardWriter::load_progress(const std::string& text) try {
  const nlohmann::json object = parse_json(text);
  require_same(vocabulary_from(json_member(object, "vocabulary")) == settings_.vocabulary &&
               layout_from(object) == settings_.layout && json_integer(object, "shard_tokens") == settings_.shard_tokens);
  for (const nlohmann::json& content : json_member(object, "finished")) add_finished(content_from(content, 1));
  current_ = content_from(json_member(object, "current"), 0);
} catch (const JsonError& error) {
  fail(ErrorKind::data, progress_path().string(), ": ", error.what(), "; remove the unfinished corpus and begin again");
}

/// Opens the files of the current shard and cuts off what does not count.
void ShardWriter::open_current(bool continued) {
  const auto shard = static_cast<std::int64_t>(finished_.size());
  const fs::path bin = shard_path(settings_.prefix, shard, ".bin"), part = bin.string() + ".part";
  // A process was killed after it had renamed the tokens and before it had said so.
  if (continued && !fs::exists(part) && fs::exists(bin)) fs::rename(bin, part);
  if (shard > 0) fs::remove(shard_path(settings_.prefix, shard - 1, ".lengths"));  // or before it had removed this
  files_ = std::make_unique<Files>(settings_.prefix, shard);
  const std::int64_t bytes = current_.documents == 0 ? 0 : header_bytes() + current_.tokens * id_bytes();
  const std::int64_t lengths = current_.documents * 4;
  if (files_->bin.bytes() < bytes || static_cast<std::int64_t>(files_->lengths.size()) < lengths)
    fail(ErrorKind::data, part.string(), ": shorter than ", progress_path().string(),
         " says; remove the unfinished corpus and begin again");
  files_->bin.cut(bytes);
  files_->lengths.truncate(static_cast<std::uint64_t>(lengths));
  if (bytes == 0) files_->new_ids.assign(static_cast<std::size_t>(header_bytes()), '\0');
  save();
}

void ShardWriter::save() {
  flush();
  files_->bin.sync();
  files_->lengths.sync();
  save_progress();
  saved_ = steady_seconds();
}

void ShardWriter::flush() {
  files_->bin.append(bytes_of(files_->new_ids));
  files_->lengths.write(files_->new_lengths);
  files_->new_ids.clear();
  files_->new_lengths.clear();
}

// ---- documents ---------------------------------------------------------------------------------------------------------

void ShardWriter::append(std::span<const std::int32_t> ids) {
  for (const std::int32_t id : ids)
    if (id < 0 || id >= settings_.vocabulary.size)
      fail("[shard] the id ", id, " is beyond the vocabulary of ", settings_.vocabulary.size, " entries");
  document_tokens_ += std::ssize(ids);
  if (document_tokens_ > settings_.shard_tokens)
    fail(ErrorKind::data, "document ", documents(), " (counted from 0) has more than ", settings_.shard_tokens,
         " tokens, and a document lies in one shard; divide the text into documents by blank lines or by a separator");
  if (current_.tokens + document_tokens_ > settings_.shard_tokens) begin_next_shard();
  if (id_bytes() == 2) {
    append_as<std::uint16_t>(files_->new_ids, ids);
  } else {
    append_as<std::int32_t>(files_->new_ids, ids);
  }
  if (files_->new_ids.size() + files_->new_lengths.size() >= kBuffer) flush();
}

void ShardWriter::end_document(std::int64_t text_bytes) {
  const auto separator = static_cast<std::int32_t>(settings_.vocabulary.separator);
  append({&separator, 1});
  append_value(files_->new_lengths, static_cast<std::int32_t>(document_tokens_));
  ++current_.documents;
  current_.tokens += document_tokens_;
  current_.text_bytes += text_bytes;
  document_tokens_ = 0;
  if (steady_seconds() - saved_ >= settings_.checkpoint_seconds) save();
}

// ---- shards ------------------------------------------------------------------------------------------------------------

/// Ends the current shard with its last whole document. What there is of the current one moves to the next shard.
void ShardWriter::begin_next_shard() {
  flush();
  auto next = std::make_unique<Files>(settings_.prefix, std::ssize(finished_) + 1);
  next->bin.restart();
  next->lengths.truncate(0);
  const std::string header(static_cast<std::size_t>(header_bytes()), '\0');
  next->bin.append(bytes_of(header));
  const std::int64_t end = header_bytes() + current_.tokens * id_bytes();
  read_range(File(files_->bin.path(), O_RDONLY), end, files_->bin.bytes(),
             [&next](std::span<const std::uint8_t> ids) { next->bin.append(ids); });
  files_->bin.cut(end);
  finish_shard();
  files_ = std::move(next);
}

void ShardWriter::finish_shard() {
  save();
  if (settings_.layout == ShardLayout::megatron) {
    current_.idx_sha256 = write_index();
  } else {
    std::string header;
    for (const std::int64_t value : {kLlmcMagic, std::int64_t{1}, current_.tokens})
      append_value(header, static_cast<std::int32_t>(value));
    File(files_->bin.path(), O_WRONLY).write(header);
  }
  Sha256 sum;
  read_range(File(files_->bin.path(), O_RDONLY), 0, files_->bin.bytes(),
             [&sum](std::span<const std::uint8_t> bytes) { sum.add(bytes); });
  current_.bin_sha256 = sum.hex();
  files_->bin.publish();
  add_finished(std::exchange(current_, {}));
  save_progress();
  fs::remove(files_->lengths.path());
}

void ShardWriter::add_finished(const ShardContent& content) {
  finished_.push_back(content);
  finished_sum_.documents += content.documents;
  finished_sum_.tokens += content.tokens;
  finished_sum_.text_bytes += content.text_bytes;
}

/// Returns the checksum.
std::string ShardWriter::write_index() {
  const auto shard = std::ssize(finished_);
  IndexFile index(shard_path(settings_.prefix, shard, ".idx"));
  for (const char c : kIndexMagic) index.add(c);
  index.add(std::uint64_t{1});
  index.add(static_cast<std::uint8_t>(id_bytes() == 2 ? 8 : 4));
  index.add(current_.documents);
  index.add(current_.documents + 1);
  const auto each_length = [&](const auto& take) {
    read_range(files_->lengths, 0, 4 * current_.documents, [&take](std::span<const std::uint8_t> bytes) {
      for (std::size_t at = 0; at < bytes.size(); at += 4) {
        std::int32_t length;
        std::memcpy(&length, bytes.data() + at, sizeof length);
        take(length);
      }
    });
  };
  each_length([&index](std::int32_t length) { index.add(length); });
  std::int64_t offset = 0;
  each_length([&](std::int32_t length) {
    index.add(offset);
    offset += length * id_bytes();
  });
  for (std::int64_t i = 0; i <= current_.documents; ++i) index.add(i);
  if (offset != current_.tokens * id_bytes())
    fail(ErrorKind::data, files_->lengths.path().string(), ": damaged: its documents have ", offset / id_bytes(),
         " tokens, expected ", current_.tokens, "; remove the unfinished corpus and begin again");
  return index.publish();
}

std::vector<fs::path> ShardWriter::finish(const std::vector<TextSource>& sources) {
  if (document_tokens_ > 0) fail("[shard] the last document has no end");
  if (documents() == 0) fail(ErrorKind::data, settings_.prefix.string(), ": no document to write");
  if (current_.documents > 0) {
    finish_shard();
  } else {  // a process was killed after its last shard was complete
    files_->new_ids.clear();
    files_->bin.restart();
    fs::remove(files_->lengths.path());
  }
  files_.reset();
  ShardManifest manifest;
  manifest.layout = settings_.layout, manifest.vocabulary = settings_.vocabulary;
  manifest.shards = std::ssize(finished_), manifest.sources = sources;
  std::vector<fs::path> paths;
  // The first manifest last: with it the corpus is there.
  for (manifest.shard = manifest.shards - 1; manifest.shard >= 0; --manifest.shard) {
    manifest.content = finished_[static_cast<std::size_t>(manifest.shard)];
    paths.insert(paths.begin(), shard_path(settings_.prefix, manifest.shard, ".json"));
    replace_file(paths.front(), to_json_text(manifest));
  }
  fs::remove(progress_path());
  complete_ = true;
  return paths;
}

}  // namespace alma
