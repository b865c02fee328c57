#include "text/shard_manifest.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/utf8.h"

namespace alma {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::int64_t kMostShards = 100000;
constexpr std::int64_t kLargestVocabulary = std::int64_t{1} << 31;  // ids are int32

std::string checksum_from(const nlohmann::json& object, const std::string& key) {
  const std::string sum = json_text(object, key);
  if (sum.size() != 64 || sum.find_first_not_of("0123456789abcdef") != sum.npos)
    throw JsonError(key + " is \"" + shown_bytes(sum.substr(0, 80)) + "\", expected 64 lower-case hexadecimal digits");
  return sum;
}

nlohmann::json to_json(const TextSource& source) {
  return {{"path", shown_bytes(source.path)}, {"bytes", source.bytes}, {"sha256", source.sha256}};
}

}  // namespace

std::filesystem::path shard_path(const std::filesystem::path& prefix, std::int64_t shard, const std::string& extension) {
  char number[24];
  std::snprintf(number, sizeof number, "-%05lld", static_cast<long long>(shard));
  return prefix.string() + number + extension;
}

nlohmann::json to_json(const TokenVocabulary& vocabulary) {
  return {{"sha256", vocabulary.sha256},
          {"size", vocabulary.size},
          {"separator", vocabulary.separator},
          {"tokenizer", vocabulary.tokenizer}};
}

TokenVocabulary vocabulary_from(const nlohmann::json& object) {
  TokenVocabulary vocabulary;
  vocabulary.sha256 = checksum_from(object, "sha256");
  vocabulary.size = json_integer(object, "size", 1, kLargestVocabulary);
  vocabulary.separator = json_integer(object, "separator", 0, vocabulary.size - 1);
  vocabulary.tokenizer = json_text(object, "tokenizer");
  return vocabulary;
}

nlohmann::json to_json(const ShardContent& content) {
  nlohmann::json object = {{"tokens", content.tokens},
                           {"documents", content.documents},
                           {"text_bytes", content.text_bytes},
                           {"bin_sha256", content.bin_sha256}};
  if (!content.idx_sha256.empty()) object["idx_sha256"] = content.idx_sha256;
  return object;
}

ShardContent content_from(const nlohmann::json& object, std::int64_t least) {
  ShardContent content;
  content.tokens = json_integer(object, "tokens", least, kMostShardTokens);
  content.documents = json_integer(object, "documents", least, content.tokens);
  content.text_bytes = json_integer(object, "text_bytes", 0);
  if (least == 0) return content;
  content.bin_sha256 = checksum_from(object, "bin_sha256");
  if (object.contains("idx_sha256")) content.idx_sha256 = checksum_from(object, "idx_sha256");
  return content;
}

std::string name_of(ShardLayout layout) { return layout == ShardLayout::llmc ? "llmc" : "megatron"; }

ShardLayout layout_from(const nlohmann::json& object) {
  const std::string layout = json_text(object, "layout");
  for (const ShardLayout known : {ShardLayout::megatron, ShardLayout::llmc})
    if (layout == name_of(known)) return known;
  throw JsonError("layout is \"" + shown_bytes(layout.substr(0, 80)) + "\", expected megatron or llmc");
}

std::string to_json_text(const ShardManifest& manifest) {
  nlohmann::json object = {{"format", "alma tokens"},
                           {"version", kVersion},
                           {"layout", name_of(manifest.layout)},
                           {"vocabulary", to_json(manifest.vocabulary)},
                           {"shard", manifest.shard},
                           {"shards", manifest.shards},
                           {"content", to_json(manifest.content)},
                           {"sources", nlohmann::json::array()}};
  for (const TextSource& source : manifest.sources) object["sources"].push_back(to_json(source));
  return object.dump(1) + "\n";
}

ShardManifest parse_manifest(std::string_view text) {
  const nlohmann::json object = parse_json(text);
  if (json_text(object, "format") != "alma tokens") throw JsonError("it does not describe token shards");
  json_integer(object, "version", kVersion, kVersion);
  ShardManifest manifest;
  manifest.layout = layout_from(object);
  manifest.vocabulary = vocabulary_from(json_member(object, "vocabulary"));
  manifest.shards = json_integer(object, "shards", 1, kMostShards);
  manifest.shard = json_integer(object, "shard", 0, manifest.shards - 1);
  manifest.content = content_from(json_member(object, "content"), 1);
  if (manifest.layout == ShardLayout::megatron) json_member(object.at("content"), "idx_sha256");
  for (const nlohmann::json& source : json_member(object, "sources"))
    manifest.sources.push_back(
        {json_text(source, "path"), json_integer(source, "bytes", 0), checksum_from(source, "sha256")});
  return manifest;
}

}  // namespace alma
