#include "text/shard.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/json.h"

namespace alma {
namespace {

namespace fs = std::filesystem;
static_assert(std::endian::native == std::endian::little, "the shards are little-endian, and are read as they are");

constexpr std::size_t kWindow = 4096;  // tokens that are read at once: 8 or 16 KiB on the stack
constexpr const char* kAdvice = "; make the corpus again, or get it again";

/// The file beside the manifest with another extension.
fs::path beside(fs::path manifest, const char* extension) { return manifest.replace_extension(extension); }

ShardManifest read_manifest(const fs::path& path) {
  const auto text = read_plain_file(path);
  if (!text)
    fail(ErrorKind::data, path.string(), ": no such file",
         fs::exists(beside(path, ".bin")) ? ", though its tokens are there: the corpus is unfinished; resume what made it"
                                          : "");
  try {
    ShardManifest manifest = parse_manifest(*text);
    if (manifest.layout != ShardLayout::megatron)
      fail(ErrorKind::data, path.string(), ": a shard in llm.c's layout, which is written for others; expected megatron");
    return manifest;
  } catch (const JsonError& error) {
    fail(ErrorKind::data, path.string(), ": ", error.what());
  }
}

/// Opens a file that must have so many bytes.
File open_sized(const fs::path& path, std::int64_t bytes, const char* of) {
  auto file = open_plain_file(path);
  if (!file) fail(ErrorKind::data, path.string(), ": no such file", kAdvice);
  const auto found = static_cast<std::int64_t>(file->size());
  if (found != bytes)
    fail(ErrorKind::data, path.string(), ": ", found < bytes ? "truncated" : "too long", ": ", found, " bytes, expected ",
         bytes, " by the ", of, " of its manifest", kAdvice);
  return std::move(*file);
}

/// Calls take(values) for the next `count` values of a file, a block at a time.
template <class Value, class Take>
void read_blocks(File& file, Sha256& sum, std::int64_t count, const Take& take) {
  std::array<Value, 8192> block;
  while (count > 0) {
    const auto values = std::span(block).first(static_cast<std::size_t>(std::min<std::int64_t>(count, std::ssize(block))));
    if (file.read(values.data(), values.size_bytes()) != values.size_bytes())
      fail(ErrorKind::data, file.path().string(), ": shrank while it was read", kAdvice);
    sum.add({reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()});
    take(values);
    count -= std::ssize(values);
  }
}

/// One value of the index and what it has to be.
void expect(const File& index, const char* what, std::int64_t at, std::int64_t found, std::int64_t expected) {
  if (found != expected)
    fail(ErrorKind::data, index.path().string(), ": damaged, or the index of others: ", what, ' ', at, " is ", found,
         ", expected ", expected, kAdvice);
}

template <class Id>
void read_ids(const File& bin, std::int64_t first, std::span<std::int32_t> ids, std::int64_t vocabulary) {
  std::array<Id, kWindow> window;
  while (!ids.empty()) {
    const std::size_t count = std::min(ids.size(), kWindow), bytes = count * sizeof(Id);
    ssize_t got;
    do got = ::pread(bin.descriptor(), window.data(), bytes, static_cast<off_t>(first) * static_cast<off_t>(sizeof(Id)));
    while (got < 0 && errno == EINTR);
    if (got < 0) fail(ErrorKind::data, bin.path().string(), ": cannot be read: ", system_error_text(errno));
    if (static_cast<std::size_t>(got) != bytes)
      fail(ErrorKind::data, bin.path().string(), ": shrank while it was in use", kAdvice);
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < count; ++i) {
      ids[i] = static_cast<std::int32_t>(window[i]);
      largest = std::max(largest, static_cast<std::uint32_t>(window[i]));
    }
    if (largest >= vocabulary)
      fail(ErrorKind::data, bin.path().string(), ": damaged: the id ", largest, " near token ", first,
           " is beyond the vocabulary of ", vocabulary, " entries", kAdvice);
    ids = ids.subspan(count);
    first += static_cast<std::int64_t>(count);
  }
}

}  // namespace

TokenShard::TokenShard(const fs::path& manifest)
    : path_(manifest),
      manifest_(read_manifest(manifest)),
      bin_(open_sized(beside(manifest, ".bin"), tokens() * manifest_.vocabulary.token_bytes(), "tokens")) {
  open_index();
}

void TokenShard::open_index() {
  File file = open_sized(beside(path_, ".idx"), index_bytes(documents()), "documents");
  Sha256 sum;
  read_index(file, sum);
  if (sum.hex() != manifest_.content.idx_sha256)
    fail(ErrorKind::data, file.path().string(), ": damaged: checksum mismatch (SHA-256)", kAdvice);
}

void TokenShard::read_index(File& file, Sha256& sum) {
  std::array<char, kIndexHeaderBytes> header;
  read_blocks<char>(file, sum, kIndexHeaderBytes,
                    [&header](std::span<const char> all) { std::copy(all.begin(), all.end(), header.begin()); });
  if (std::memcmp(header.data(), kIndexMagic, sizeof kIndexMagic) != 0)
    fail(ErrorKind::data, file.path().string(), ": not an index of Megatron's", kAdvice);
  const auto number = [&header](std::size_t at) {
    std::int64_t value;
    std::memcpy(&value, header.data() + at, sizeof value);
    return value;
  };
  expect(file, "the version of", 0, number(9), 1);
  expect(file, "the type of the ids of", 0, header[17], manifest_.vocabulary.token_bytes() == 2 ? 8 : 4);
  expect(file, "the number of sequences of", 0, number(18), documents());
  expect(file, "the number of documents of", 0, number(26), documents() + 1);

  begins_.reserve(static_cast<std::size_t>(documents()) + 1);
  begins_.push_back(0);
  read_blocks<std::int32_t>(file, sum, documents(), [&](std::span<const std::int32_t> lengths) {
    for (const std::int32_t length : lengths) {
      const std::int64_t left = tokens() - begins_.back();
      if (length < 1 || length > left)
        fail(ErrorKind::data, file.path().string(), ": damaged: document ", begins_.size() - 1, " has ", length,
             " tokens, expected 1 .. ", left, kAdvice);
      begins_.push_back(begins_.back() + static_cast<std::uint32_t>(length));
    }
  });
  expect(file, "the end of document", documents() - 1, begins_.back(), tokens());
  std::int64_t i = 0;
  read_blocks<std::int64_t>(file, sum, documents(), [&](std::span<const std::int64_t> offsets) {
    for (const std::int64_t offset : offsets) {
      expect(file, "the offset of document", i, offset, document_begin(i) * manifest_.vocabulary.token_bytes());
      ++i;
    }
  });
  i = 0;
  read_blocks<std::int64_t>(file, sum, documents() + 1, [&](std::span<const std::int64_t> sequences) {
    for (const std::int64_t sequence : sequences) {
      expect(file, "the first sequence of document", i, sequence, i);
      ++i;
    }
  });
}

void TokenShard::require_size() const {
  const std::int64_t bytes = static_cast<std::int64_t>(bin_.size()),
                     expected = tokens() * manifest_.vocabulary.token_bytes();
  if (bytes != expected)
    fail(ErrorKind::data, bin_.path().string(), bytes < expected ? ": shrank" : ": grew", " while it was in use: ", bytes,
         " bytes, expected ", expected, kAdvice);
}

void TokenShard::read(std::int64_t first, std::span<std::int32_t> ids) const {
  if (first < 0 || first > tokens() - std::ssize(ids))
    fail("[shard] tokens ", first, " .. ", first + std::ssize(ids), " of ", tokens());
  require_size();
  if (manifest_.vocabulary.token_bytes() == 2) {
    read_ids<std::uint16_t>(bin_, first, ids, manifest_.vocabulary.size);
  } else {
    read_ids<std::int32_t>(bin_, first, ids, manifest_.vocabulary.size);
  }
}

void TokenShard::verify() const {
  std::int64_t document = 0;
  std::vector<std::int32_t> block(std::size_t{1} << 16);
  for (std::int64_t first = 0; first < tokens(); first += std::ssize(block)) {
    block.resize(static_cast<std::size_t>(std::min(std::ssize(block), tokens() - first)));
    read(first, block);
    for (; document < documents() && document_begin(document + 1) <= first + std::ssize(block); ++document) {
      const std::int32_t last = block[static_cast<std::size_t>(document_begin(document + 1) - 1 - first)];
      if (last != manifest_.vocabulary.separator)
        fail(ErrorKind::data, bin_.path().string(), ": damaged: document ", document, " ends with the id ", last,
             ", expected the separator ", manifest_.vocabulary.separator, kAdvice);
    }
  }
  File file(bin_.path(), O_RDONLY);
  Sha256 sum;
  read_blocks<std::uint8_t>(file, sum, tokens() * manifest_.vocabulary.token_bytes(), [](std::span<const std::uint8_t>) {});
  if (sum.hex() != manifest_.content.bin_sha256)
    fail(ErrorKind::data, bin_.path().string(), ": damaged: checksum mismatch (SHA-256)", kAdvice);
}

// ---- the corpus --------------------------------------------------------------------------------------------------------

TokenCorpus::TokenCorpus(const fs::path& path) {
  if (path.extension() == ".json") {
    shards_.emplace_back(path);
  } else {
    std::int64_t shards = 1;
    for (std::int64_t i = 0; i < shards; ++i) {
      const TokenShard& shard = shards_.emplace_back(shard_path(path, i, ".json"));
      const ShardManifest &own = shard.manifest(), &first = shards_.front().manifest();
      shards = first.shards;
      if (own.shard != i || own.shards != shards || own.vocabulary != first.vocabulary)
        fail(ErrorKind::data, shard.path().string(), ": a shard of another corpus: number ", own.shard, " of ", own.shards,
             " of the vocabulary ", own.vocabulary.sha256, ", expected number ", i, " of ", shards, " of ",
             first.vocabulary.sha256, kAdvice);
    }
  }
  first_documents_.push_back(0);
  for (const TokenShard& shard : shards_) first_documents_.push_back(first_documents_.back() + shard.documents());
}

void TokenCorpus::require_vocabulary(const std::string& sha256) const {
  if (vocabulary().sha256 != sha256)
    fail(ErrorKind::data, shards_.front().path().string(), ": tokens of another vocabulary: its SHA-256 is ",
         vocabulary().sha256, ", expected ", sha256,
         "; give the vocabulary that made them, or tokenize the text with this one");
}

std::int64_t TokenCorpus::tokens() const {
  std::int64_t sum = 0;
  for (const TokenShard& shard : shards_) sum += shard.tokens();
  return sum;
}

std::int64_t TokenCorpus::text_bytes() const {
  std::int64_t sum = 0;
  for (const TokenShard& shard : shards_) sum += shard.manifest().content.text_bytes;
  return sum;
}

TokenCorpus::Place TokenCorpus::place(std::int64_t document) const {
  if (document < 0 || document >= documents()) fail("[corpus] document ", document, " of ", documents());
  const auto next = std::upper_bound(first_documents_.begin(), first_documents_.end(), document);
  const auto shard = static_cast<std::size_t>(next - first_documents_.begin()) - 1;
  return {shards_[shard], document - first_documents_[shard]};
}

std::int64_t TokenCorpus::document_tokens(std::int64_t document) const {
  const Place at = place(document);
  return at.shard.document_begin(at.document + 1) - at.shard.document_begin(at.document);
}

void TokenCorpus::read(std::int64_t document, std::int64_t first, std::span<std::int32_t> ids) const {
  const Place at = place(document);
  at.shard.read(at.shard.document_begin(at.document) + first, ids);
}

}  // namespace alma
