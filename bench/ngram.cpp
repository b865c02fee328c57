// ngram: what a language model has to beat. Fits n-gram models on the tokens that it saw, and judges them where it is
// judged.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "base/exit_code.h"
#include "base/permutation.h"
#include "base/process.h"
#include "text/ngram.h"
#include "text/token_stream.h"

namespace {

using namespace alma;

struct Options {
  std::string training, judged;
  TokenStreamSettings stream;
  std::int64_t arrived = 0, tokens = 0, sequence = 128, judged_tokens = 0;
  int order = 5;
};

void add_options(CLI::App& app, Options& options) {
  app.add_option("training", options.training, "training corpus: PREFIX of its token shards PREFIX-00000.bin, ...")
      ->required();
  app.add_option("--judge", options.judged, "corpus to judge the models on; without it, the stream's validation part");
  app.add_option("--judge-tokens", options.judged_tokens, "judge only that many tokens, the first ones");
  app.add_option("--mega-batches", options.stream.mega_batches, "stream.mega_batches of the model's run")
      ->capture_default_str();
  app.add_option("--arrived", options.arrived, "fit on that many mega-batches, the first ones; 0: all")
      ->capture_default_str();
  app.add_option("--validation", options.stream.validation, "stream.validation of the model's run")->capture_default_str();
  app.add_option("--test", options.stream.test, "stream.test of the model's run")->capture_default_str();
  app.add_option("--seed", options.stream.seed, "stream.seed of the model's run")->capture_default_str();
  app.add_option("--tokens", options.tokens,
                 "fit on about that many tokens alone: windows of the mega-batches, drawn at random");
  app.add_option("--sequence", options.sequence, "length of those windows")->capture_default_str();
  app.add_option("--order", options.order, "highest order of Kneser-Ney")->check(CLI::Range(2, 5))->capture_default_str();
}

using Runs = std::vector<std::vector<std::int32_t>>;

/// The tokens to fit on: each mega-batch as one run, or each of the windows that are drawn.
Runs training_runs(const TokenCorpus& corpus, const TokenStream& stream, const Options& options) {
  const std::int64_t arrived = options.arrived == 0 ? stream.size() : options.arrived;
  if (arrived < 0 || arrived > stream.size())
    fail(ErrorKind::usage, "--arrived ", arrived, ": expected 0 .. ", stream.size(), " (the mega-batches)");
  Runs runs;
  if (options.tokens == 0) {
    for (std::int64_t t = 0; t < arrived; ++t) {
      std::vector<std::int32_t>& run = runs.emplace_back();
      for (const std::int32_t document : stream[t].documents) {
        const std::size_t before = run.size();
        run.resize(before + static_cast<std::size_t>(corpus.document_tokens(document)));
        corpus.read(document, 0, std::span(run).subspan(before));
      }
    }
    return runs;
  }
  std::vector<TokenPart> parts;
  for (std::int64_t t = 0; t < arrived; ++t) parts.push_back(stream[t]);
  const TokenWindows windows(corpus, parts, options.sequence);
  const std::int64_t drawn = options.tokens / options.sequence;
  if (drawn < 1 || drawn > windows.count())
    fail(ErrorKind::usage, "--tokens ", options.tokens, ": expected ", options.sequence, " .. ", windows.targets());
  const KeyedPermutation order(windows.count(), options.stream.seed, "windows");
  std::vector<std::int32_t> ids(static_cast<std::size_t>(options.sequence) + 1);
  for (std::int64_t i = 0; i < drawn; ++i) {
    const std::int64_t targets = windows.read(order(i), ids);
    runs.emplace_back(ids.begin() + 1, ids.begin() + 1 + targets);
  }
  return runs;
}

/// The tokens to judge on, each a target of a window of the part, after the separator in front of the first one.
std::vector<std::int32_t> judged_tokens(const TokenCorpus& corpus, const TokenPart& part, std::int64_t most) {
  const std::int64_t tokens = most > 0 ? std::min(most, part.tokens) : part.tokens;
  if (tokens == 0) fail(ErrorKind::usage, "no tokens to judge on; give --judge CORPUS or --validation FRACTION");
  const TokenWindows windows(corpus, {part}, tokens);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens) + 1);
  windows.read(0, ids);
  return ids;
}

template <class Model>
void report(const char* name, Model model, const Runs& runs, std::span<const std::int32_t> judged, double bytes_per_token) {
  const double begin = steady_seconds();
  for (const auto& run : runs) model.add(run);
  model.fit();
  const TokenLoss loss = judge(model, judged, 1);
  const auto bytes = static_cast<std::int64_t>(bytes_per_token * static_cast<double>(loss.tokens));
  std::printf("%-22s %9.2f %8.4f %8.4f %8.1f\n", name, loss.perplexity(), loss.nats_per_token(), loss.bits_per_byte(bytes),
              steady_seconds() - begin);
}

int compare(const Options& options) {
  const TokenCorpus training(options.training);
  std::optional<TokenCorpus> other;
  if (!options.judged.empty()) {
    other.emplace(options.judged);
    other->require_vocabulary(training.vocabulary().sha256);
  }
  const TokenCorpus& of_judged = other ? *other : training;
  const TokenStream stream(training, options.stream);
  const Runs runs = training_runs(training, stream, options);
  const auto judged = judged_tokens(of_judged, other ? all_documents(*other) : stream.validation(), options.judged_tokens);

  std::size_t fitted = 0;
  for (const auto& run : runs) fitted += run.size();
  const double bytes_per_token = static_cast<double>(of_judged.text_bytes()) / static_cast<double>(of_judged.tokens());
  const auto vocabulary = static_cast<std::int32_t>(training.vocabulary().size);
  std::printf("fitted on %zu tokens, judged on %zu (%.3f bytes per token), vocabulary %d\n", fitted, judged.size() - 1,
              bytes_per_token, vocabulary);
  std::printf("%-22s %9s %8s %8s %8s\n", "", "ppl", "nats", "bits/byte", "seconds");
  report("interpolated bigram", InterpolatedBigram(vocabulary), runs, judged, bytes_per_token);
  for (int order = 2; order <= options.order; ++order)
    report(("Kneser-Ney, order " + std::to_string(order)).c_str(), KneserNey(order, vocabulary), runs, judged,
           bytes_per_token);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return exit_code_of([&] {
    prepare_process();
    CLI::App app{
        "Fits an interpolated bigram and interpolated modified Kneser-Ney models on the tokens that a language model saw, "
        "and judges "
        "them on the tokens where it is judged."};
    Options options;
    add_options(app, options);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? 0 : 2;
    }
    return compare(options);
  });
}
