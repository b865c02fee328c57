// A token shard: its manifest, its index, and its tokens. What is accepted is the same after it was written again.
#include "text/shard.h"

#include <filesystem>

#include "base/files.h"
#include "tests/fuzz/target.h"
#include "tests/text/corpus.h"

namespace alma::fuzz {
namespace {

void read(std::string_view input) {
  const auto [manifest, index, ids] = parts_of<3>(input);
  write_file("shard.bin", ids);
  write_file("shard.idx", index);
  const TokenCorpus corpus(write_file("shard.json", manifest));
  const TokenShard& shard = corpus.shards()[0];
  const std::string text = to_json_text(shard.manifest());
  require(to_json_text(parse_manifest(text)) == text, "another manifest");
  require(shard.document_begin(0) == 0 && shard.document_begin(shard.documents()) == shard.tokens(),
          "tokens of no document");
  std::vector<std::int32_t> document;
  for (std::int64_t i = 0; i < corpus.documents(); ++i) {
    require(corpus.document_tokens(i) >= 1, "a document without a token");
    document.resize(static_cast<std::size_t>(corpus.document_tokens(i)));
    corpus.read(i, 0, document);
    for (const std::int32_t id : document) require(id >= 0 && id < corpus.vocabulary().size, "an id beyond the vocabulary");
  }
  shard.verify();
}

/// The parts of a shard of some documents.
std::string shard_of(std::int64_t documents, std::int64_t vocabulary) {
  ShardSettings settings;
  settings.prefix = folder() + "/seed/" + std::to_string(documents) + "-" + std::to_string(vocabulary);
  settings.vocabulary = test::vocabulary(vocabulary);
  std::filesystem::remove_all(settings.prefix.parent_path());
  const auto paths = test::write_corpus(settings, test::documents(documents, 20, vocabulary));
  std::string parts;
  for (const char* extension : {".json", ".idx", ".bin"}) {
    std::filesystem::path path = paths.front();
    parts += (parts.empty() ? "" : std::string(kBetween)) + read_text(path.replace_extension(extension)).value();
  }
  return parts;
}

std::vector<std::string> seeds() { return {shard_of(1, 100), shard_of(7, 100), shard_of(3, 70000), shard_of(0x20, 300)}; }

const Registered target{{"shard", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
