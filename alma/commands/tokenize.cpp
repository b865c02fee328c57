#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iostream>
#include <map>
#include <utility>

#include "alma/commands/commands.h"
#include "alma/config/build_info.h"
#include "alma/console/fetch_console.h"
#include "alma/console/text.h"
#include "alma/run/interrupt.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"
#include "text/tokenize.h"
#include "text/train_bpe.h"

namespace alma {

namespace {

bool ends_with_any(const std::string& text, std::initializer_list<const char*> ends) {
  return std::ranges::any_of(ends, [&](const char* end) { return text.ends_with(end); });
}

/// What a document is: as the options say, else records where all files are JSON lines.
DocumentRule rule_of(const TokenizeOptions& options) {
  DocumentRule rule;
  rule.separator = options.separator;
  if (!options.field.empty()) rule.field = options.field;
  const std::string implied = !options.separator.empty() ? "separator" : !options.field.empty() ? "record" : "";
  std::string name = options.documents.empty() ? implied : options.documents;
  if (!implied.empty() && name != implied)
    fail(ErrorKind::usage, implied == "record" ? "--field" : "--separator", " goes with --documents ", implied,
         ", but --documents ", name, " was given");
  if (name == "separator" && options.separator.empty())
    fail(ErrorKind::usage, "--documents separator: which line separates documents? Expected --separator LINE");
  if (name.empty()) {
    const DocumentReader files(options.inputs, rule);
    const bool records = std::ranges::all_of(files.paths(), [](const std::string& path) {
      return ends_with_any(path, {".jsonl", ".jsonl.gz", ".jsonl.xz", ".jsonl.zst", ".ndjson"});
    });
    name = records ? "record" : "file";
  }
  static const std::map<std::string, DocumentRule::By> rules = {{"file", DocumentRule::By::file},
                                                                {"record", DocumentRule::By::record},
                                                                {"blank-lines", DocumentRule::By::blank_lines},
                                                                {"separator", DocumentRule::By::separator}};
  rule.by = rules.at(name);
  return rule;
}

DocumentReader open_documents(const TokenizeOptions& options) { return {options.inputs, rule_of(options)}; }

InvalidBytes invalid_bytes(const TokenizeOptions& options) {
  return options.invalid == "replace" ? InvalidBytes::replace : InvalidBytes::refuse;
}

/// The size of all files; -1 if that is not known before they are read.
std::int64_t total_bytes(const DocumentReader& documents) {
  std::int64_t total = 0;
  for (const std::string& path : documents.paths()) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(path, error);
    if (error || ends_with_any(path, {".gz", ".xz", ".zst"})) return -1;
    total += static_cast<std::int64_t>(bytes);
  }
  return total;
}

/// Shows the progress; ends the work when the user wants that.
class Watch {
 public:
  Watch(std::string what, const DocumentReader& documents, bool quiet)
      : what_(std::move(what)), total_(total_bytes(documents)), console_(fetch_console_options(quiet)) {
    catch_interrupts();
  }
  bool operator()(const TokenizeProgress& progress) {
    last_ = progress;
    if (!first_) first_ = progress;
    const std::string more =
        progress.tokens > 0 ? grouped(progress.tokens) + " tokens" : grouped(progress.documents) + " documents";
    console_.progress(what_, progress.text_bytes, total_, more);
    return !interrupted();
  }
  void say(const std::string& line) { console_.say(line); }
  /// "134 documents, 93,123,456 bytes, 21,650,123 tokens (4.30 bytes per token) in 0.6s, 150.2 MB/s".
  std::string statistics() const {
    const double seconds = steady_seconds() - begin_;
    std::string text = grouped(last_.documents) + (last_.documents == 1 ? " document, " : " documents, ") +
                       grouped(last_.text_bytes) + " bytes";
    if (last_.tokens > 0)
      text += ", " + grouped(last_.tokens) + " tokens (" +
              fixed(static_cast<double>(last_.text_bytes) / static_cast<double>(last_.tokens), 2) + " bytes per token)";
    const std::int64_t bytes = last_.text_bytes - (first_ ? std::min(first_->text_bytes, last_.text_bytes) : 0);
    text += " in " + duration(seconds);
    if (bytes > 0) text += ", " + fixed(static_cast<double>(bytes) / seconds / 1e6, 1) + " MB/s";
    return text;
  }

 private:
  std::string what_;
  std::int64_t total_;
  FetchConsole console_;
  double begin_ = steady_seconds();
  std::optional<TokenizeProgress> first_;
  TokenizeProgress last_;
};

int make_shards(const TokenizeOptions& options) {
  const Vocabulary vocabulary = read_vocabulary(options.vocabulary);
  const std::optional<std::int32_t> separator = vocabulary.special(kEndOfText);
  if (!separator)
    fail(ErrorKind::data, options.vocabulary, ": the vocabulary has no ", kEndOfText,
         ", which ends each document in a shard");
  ShardSettings settings;
  settings.prefix = options.out;
  settings.vocabulary = {vocabulary.hash(), vocabulary.size(), *separator, "alma " + version()};
  settings.layout = options.format == "llmc" ? ShardLayout::llmc : ShardLayout::megatron;
  if (options.shard_tokens > 0) settings.shard_tokens = options.shard_tokens;
  DocumentReader documents = open_documents(options);
  ShardWriter writer(settings, options.resume);
  if (writer.complete()) {
    if (!options.quiet) std::cout << options.out << " is complete already; nothing was done\n";
    return 0;
  }
  Watch watch(options.out, documents, options.quiet);
  if (!tokenize(documents, vocabulary, writer, options.threads, invalid_bytes(options), std::ref(watch))) {
    watch.say("interrupted after " + grouped(writer.documents()) +
              " documents, which are saved; the same command with --resume continues");
    return 130;
  }
  const std::vector<std::filesystem::path> manifests = writer.finish(documents.sources());
  watch.say(watch.statistics());
  if (options.quiet) return 0;
  for (const std::filesystem::path& manifest : manifests) std::cout << manifest.string() << '\n';
  return 0;
}

int train(const TokenizeOptions& options) {
  DocumentReader documents = open_documents(options);
  const std::filesystem::path out = options.out;
  if (std::filesystem::exists(out / "encoder.json"))
    fail(ErrorKind::usage, (out / "encoder.json").string(), " exists; remove it, or choose another folder");
  Watch watch("words", documents, options.quiet);
  WordCounts words;
  if (!count_words(documents, words, invalid_bytes(options), std::ref(watch))) return 130;
  watch.say(watch.statistics() + "; " + grouped(std::ssize(words.counts())) + " different words");
  const Vocabulary vocabulary = train_bpe(words, options.train);
  write_vocabulary(vocabulary, out);
  if (!options.quiet)
    std::cout << options.out << ": " << grouped(vocabulary.size()) << " entries, " << vocabulary.hash() << '\n';
  return 0;
}

int print_ids(const TokenizeOptions& options) {
  require_standard_output();
  const Vocabulary vocabulary = read_vocabulary(options.vocabulary);
  TokenizeOptions one = options;
  one.inputs = {options.ids};
  DocumentReader documents = open_documents(one);
  std::string text;
  bool first = true;
  encode_documents(documents, vocabulary, invalid_bytes(options), [&](const std::vector<std::int32_t>& ids) {
    text.clear();
    for (const std::int32_t id : ids) {
      if (!std::exchange(first, false)) text += ' ';
      text += std::to_string(id);
    }
    std::cout << text;
  });
  std::cout << '\n';
  return 0;
}

int print_text(const TokenizeOptions& options) {
  require_standard_output();
  const Vocabulary vocabulary = read_vocabulary(options.vocabulary);
  TextInput input(options.decode);
  std::string text;
  bool more = true;
  while (more) {
    more = input.append_to(text);
    std::size_t end = text.size();  // of the ids that are whole
    if (more) end = text.find_last_of(" \t\r\n") + 1;
    std::vector<std::int32_t> ids;
    for (std::size_t at = 0; (at = text.find_first_not_of(" \t\r\n", at)) < end;) {
      const std::size_t stop = std::min(text.find_first_of(" \t\r\n", at), end);
      std::int32_t id = 0;
      const auto [last, error] = std::from_chars(text.data() + at, text.data() + stop, id);
      if (error != std::errc() || last != text.data() + stop)
        fail(ErrorKind::data, shown_path(options.decode), ": \"", text.substr(at, std::min<std::size_t>(stop - at, 40)),
             "\" is no id; expected whole numbers, separated by white space");
      ids.push_back(id);
      at = stop;
    }
    std::cout << decode(vocabulary, ids);
    text.erase(0, end);
  }
  return 0;
}

}  // namespace

int tokenize_command(const TokenizeOptions& options) {
  const bool prints = !options.ids.empty() || !options.decode.empty();
  if (prints + (options.train > 0) > 1 || (!options.ids.empty() && !options.decode.empty()))
    fail(ErrorKind::usage, "--train, --ids and --decode do different things; expected one of them");
  if (prints && !options.inputs.empty())
    fail(ErrorKind::usage, options.inputs[0], ": --ids and --decode take one FILE, and no other input");
  if (options.train > 0 && !options.vocabulary.empty())
    fail(ErrorKind::usage, "--train makes a vocabulary in --out DIR; --vocab does not go with it");
  if (options.train == 0 && options.vocabulary.empty())
    fail(ErrorKind::usage,
         "--vocab DIR is missing: a folder with encoder.json and vocab.bpe, or with tokenizer.json; --train N "
         "makes one");
  if (!options.ids.empty()) return print_ids(options);
  if (!options.decode.empty()) return print_text(options);
  if (options.inputs.empty()) fail(ErrorKind::usage, "no text was given; expected files, folders, or - for standard input");
  if (options.out.empty())
    fail(ErrorKind::usage, options.train > 0 ? "--out DIR is missing: the folder for the new vocabulary"
                                             : "--out PREFIX is missing: the shards are PREFIX-00000.bin and so on");
  return options.train > 0 ? train(options) : make_shards(options);
}

}  // namespace alma
