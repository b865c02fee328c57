// The rows for text: stream.dataset = "text" and model.architecture = "switch".
#include "alma/learn/text_kinds.h"

#include <limits>
#include <numeric>

#include "alma/config/config.h"
#include "alma/learn/token_samples.h"
#include "base/checksum.h"
#include "models/transformer.h"

namespace alma {

namespace {

/// What the shards are: the checksums of all their tokens and documents.
std::string fingerprint(const TokenCorpus& corpus, const TokenCorpus& test) {
  std::string sums;
  for (const TokenCorpus* one : {&corpus, &test})
    for (const TokenShard& shard : one->shards())
      sums += shard.manifest().content.bin_sha256 + shard.manifest().content.idx_sha256;
  return sha256(sums);
}

void verify(const TokenCorpus& corpus) {
  for (const TokenShard& shard : corpus.shards()) shard.verify();
}

std::vector<std::int32_t> numbers(std::int64_t first, std::int64_t last) {
  std::vector<std::int32_t> all(static_cast<std::size_t>(last - first));
  std::iota(all.begin(), all.end(), static_cast<std::int32_t>(first));
  return all;
}

/// Each mega-batch has its own windows to train on, and its share of those of the validation part.
std::vector<MegaBatch> mega_batches(const TokenWindows& windows, std::int64_t count) {
  std::vector<MegaBatch> all;
  const std::int64_t validation = windows.first_window(count), held_out = windows.count() - validation;
  for (std::int64_t t = 0; t < count; ++t)
    all.push_back({numbers(windows.first_window(t), windows.first_window(t + 1)),
                   numbers(validation + held_out * t / count, validation + held_out * (t + 1) / count)});
  return all;
}

void require_shards(const Config::Stream& stream) {
  if (stream.tokens.empty())
    fail(ErrorKind::usage, "stream.tokens is not set with stream.dataset = \"text\"; expected the PREFIX of token shards ",
         "PREFIX-00000.json, ... as `alma tokenize` writes them");
  if (stream.test_tokens.empty() && stream.test == 0)
    fail(ErrorKind::usage, "stream.test = 0 without stream.test_tokens: no text is left to test on; expected a share above ",
         "0, or the PREFIX of other token shards");
}

Task text_task(const Config& config) {
  const Config::Stream& settings = config.stream;
  require_shards(settings);
  const auto corpus = std::make_shared<const TokenCorpus>(settings.tokens);
  const bool apart = !settings.test_tokens.empty();
  const auto test_corpus = apart ? std::make_shared<const TokenCorpus>(settings.test_tokens) : corpus;
  test_corpus->require_vocabulary(corpus->vocabulary().sha256);
  verify(*corpus);
  if (apart) verify(*test_corpus);
  const TokenStream stream(*corpus, {settings.mega_batches, settings.validation, apart ? 0 : settings.test,
                                     static_cast<std::uint64_t>(settings.seed)});
  std::vector<TokenPart> parts;
  for (std::int64_t t = 0; t < stream.size(); ++t) parts.push_back(stream[t]);
  parts.push_back(stream.validation());
  const TokenPart test = apart ? all_documents(*test_corpus) : stream.test();
  const std::int64_t sequence = settings.sequence;
  const TokenWindows windows(*corpus, parts, sequence);
  if (windows.count() > std::numeric_limits<std::int32_t>::max())
    fail(ErrorKind::data, settings.tokens, ": ", windows.count(), " windows of ", sequence,
         " tokens; a stream holds fewer than 2^31");

  Task task{.input = {}, .stream = MegaBatchStream(mega_batches(windows, stream.size()))};
  task.input.vocabulary_sha256 = corpus->vocabulary().sha256;
  task.input.classes = static_cast<int>(corpus->vocabulary().size);
  task.input.sequence = sequence;
  task.fingerprint = fingerprint(*corpus, *test_corpus);
  task.test_name = apart ? settings.test_tokens : "test part of " + settings.tokens;
  task.bytes_per_token = static_cast<double>(test_corpus->text_bytes()) / static_cast<double>(test_corpus->tokens());
  task.train = [=](Context&) { return std::make_shared<TokenSamples>(corpus, parts, sequence); };
  task.test = [=](Context&) { return std::make_shared<TokenSamples>(test_corpus, std::vector{test}, sequence); };
  return task;
}

void check_text(const Config& config, const std::string& where) {
  if (config.train.graph)
    fail(ErrorKind::usage, "train.graph = true does not go with stream.dataset = \"text\", whose tokens are read as a step ",
         "needs them (", where, ')');
  if (config.learner.wait == 0)
    fail(ErrorKind::usage, "learner.wait = \"auto\" does not go with stream.dataset = \"text\": it judges by an error, and ",
         "a language model has a perplexity; expected a number (", where, ')');
}

}  // namespace

DataKind text_data() {
  DataKind kind{{"text", "a text corpus, as token shards (alma tokenize), for language models"}};
  kind.keys = {"stream.tokens", "stream.test_tokens", "stream.sequence", "stream.test"};
  kind.input = Input::text;
  kind.check = check_text;
  kind.task = text_task;
  return kind;
}

ArchitectureKind switch_transformer() {
  ArchitectureKind kind{{"switch",
                         "a decoder-only Transformer for text; with model.experts above 1 a Switch Transformer, whose "
                         "feed-forward layers choose one expert for each token"}};
  kind.keys = {"model.layers",   "model.heads",   "model.hidden",  "model.switch_every", "model.activation",
               "model.capacity", "model.balance", "model.dropout", "model.init_std"};
  kind.input = Input::text;
  kind.label = width_label;
  kind.check = [](const Config& config, const std::string& where) {
    if (config.model.width % config.model.heads != 0)
      fail(ErrorKind::usage, "model.heads = ", config.model.heads, " does not divide model.width = ", config.model.width,
           "; each head has an equal part of it (", where, ')');
  };
  kind.make = [](Context& context, const Config& config, const InputDescription& input, RandomStream init) {
    const Config::Model& model = config.model;
    return std::make_unique<Transformer>(context,
                                         TransformerSettings{.vocabulary = input.classes,
                                                             .sequence = input.sequence,
                                                             .width = model.width,
                                                             .layers = model.layers,
                                                             .heads = model.heads,
                                                             .hidden = model.hidden,
                                                             .experts = model.experts,
                                                             .switch_every = model.switch_every,
                                                             .capacity_factor = model.capacity,
                                                             .balance = model.balance,
                                                             .gelu = model.activation == "gelu",
                                                             .dropout = model.dropout,
                                                             .init_std = model.init_std},
                                         init);
  };
  return kind;
}

}  // namespace alma
