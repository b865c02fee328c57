#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/text_input.h"

namespace alma {

// Token shards: Megatron's pair NAME.bin + NAME.idx (Megatron-Core's IndexedDataset), and NAME.json, which says what the
// pair is. Little-endian.
//   NAME.bin   the ids of all documents, one after the other; each document ends with the separator. uint16 if the
//              vocabulary has fewer than 65,500 entries, otherwise int32. No header: NumPy's memmap reads it
//   NAME.idx   "MMIDIDX\0\0", u64 version 1, u8 dtype (8: uint16, 4: int32), u64 documents n, u64 n + 1,
//              i32 tokens [n], i64 offset in bytes [n], i64 number of the first sequence [n + 1]: 0 .. n, one per document
// llm.c's layout has, instead, one file NAME.bin (with NAME.json): 256 i32, of which the first are 20240520, version 1 and
// the number of tokens, then uint16 ids.

/// The most tokens in a shard: byte offsets stay below 2^31, so that no reader's arithmetic overflows.
inline constexpr std::int64_t kMostShardTokens = std::int64_t{1} << 28;
inline constexpr char kIndexMagic[9] = {'M', 'M', 'I', 'D', 'I', 'D', 'X', '\0', '\0'};
inline constexpr std::int64_t kIndexHeaderBytes = 9 + 8 + 1 + 8 + 8;
/// The bytes of the index of so many documents.
constexpr std::int64_t index_bytes(std::int64_t documents) { return kIndexHeaderBytes + documents * (4 + 8 + 8) + 8; }

enum class ShardLayout { megatron, llmc };

/// What ids mean.
struct TokenVocabulary {
  std::string sha256;          // of the vocabulary
  std::int64_t size = 0;       // of its entries, with the separator
  std::int64_t separator = 0;  // the id that ends a document
  std::string tokenizer;       // the program that made the ids, and its version

  /// The bytes of an id.
  std::int64_t token_bytes() const { return size < 65500 ? 2 : 4; }
  friend bool operator==(const TokenVocabulary&, const TokenVocabulary&) = default;
};

/// The content of a shard.
struct ShardContent {
  std::int64_t tokens = 0, documents = 0;  // with the separators
  std::int64_t text_bytes = 0;             // of the documents' text: for bits per byte
  std::string bin_sha256, idx_sha256;      // the latter empty in llm.c's layout
};

/// NAME.json.
struct ShardManifest {
  ShardLayout layout = ShardLayout::megatron;
  TokenVocabulary vocabulary;
  std::int64_t shard = 0, shards = 1;  // its number in the corpus, from 0, and how many there are
  ShardContent content;
  std::vector<TextSource> sources;  // of the whole corpus
};

/// The file PREFIX-00000.json (.bin, .idx) of shard 0, and so on.
std::filesystem::path shard_path(const std::filesystem::path& prefix, std::int64_t shard, const std::string& extension);

std::string to_json_text(const ShardManifest& manifest);
/// Throws JsonError naming the key.
ShardManifest parse_manifest(std::string_view text);

// The parts of a manifest that the record of an unfinished corpus has too.
nlohmann::json to_json(const TokenVocabulary& vocabulary);
nlohmann::json to_json(const ShardContent& content);
TokenVocabulary vocabulary_from(const nlohmann::json& object);
/// `least`: of tokens and documents.
ShardContent content_from(const nlohmann::json& object, std::int64_t least);
std::string name_of(ShardLayout layout);
ShardLayout layout_from(const nlohmann::json& object);

}  // namespace alma
